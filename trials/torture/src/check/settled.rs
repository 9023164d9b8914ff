//! Settled messages keep their positions and no message is inserted between them, as long as no
//! replica has lost its database.

use super::Breach;
use super::story::Story;
use crate::finals::Finals;

pub(super) fn check(story: &Story, finals: &Finals) -> Vec<Breach> {
    if !story.destroyed.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (group, ids) in &story.settled {
        for (replica, shown) in finals.get(group).into_iter().flatten() {
            let messages = shown
                .messages
                .iter()
                .map(|it| it["id"].as_str().unwrap_or_default());
            let begin = messages.clone().position(|id| id == ids[0]);
            let now: Vec<&str> = messages.skip(begin.unwrap_or(0)).take(ids.len()).collect();
            if now != *ids {
                let what = format!("{group} on replica {replica}: {ids:?} became {now:?}");
                found.push(Breach::new("settled", what));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::{finals, history, message};
    use crate::history::Event;

    #[test]
    fn a_message_that_comes_before_a_settled_one_is_seen_unless_a_disk_was_lost() {
        let settled = Event::Settled {
            group: "g".into(),
            ids: vec!["id of a".into(), "id of b".into()],
        };
        let found = |events: &[Event], texts: &[&str]| {
            let messages: Vec<_> = texts.iter().map(|text| message(text, "")).collect();
            check(&Story::of(&history(events)), &finals(&messages)).len()
        };

        let alone = std::slice::from_ref(&settled);
        assert_eq!(found(alone, &["x", "a", "b", "c"]), 0);
        assert_eq!(found(alone, &["a", "x", "b"]), 2);
        assert_eq!(found(alone, &["b", "a"]), 2);
        let lost = Event::Destroyed {
            replica: 2,
            since_us: 0,
        };
        assert_eq!(found(&[settled, lost], &["a", "x", "b"]), 0);
    }
}
