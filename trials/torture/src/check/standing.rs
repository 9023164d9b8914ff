//! Likes and memberships are as their users left them, if that is determined: the changes are
//! causally ordered, none has an unknown outcome, and the disk that held the last one was not
//! destroyed.

use std::collections::BTreeSet;

use super::Breach;
use super::story::{Change, Story};
use crate::finals::{Finals, Shown};
use crate::history::Outcome;

pub(super) fn check(story: &Story, finals: &Finals) -> Vec<Breach> {
    let mut found = Vec::new();
    for ((group, message, user), changes) in &story.changes {
        let Some(expected) = determined(story, changes) else {
            continue;
        };
        for (replica, shown) in finals.get(group).into_iter().flatten() {
            let Some(stands) = stands(shown, message.as_deref(), user) else {
                // A missing message is found by another checker.
                continue;
            };
            if stands != expected {
                let of = message.as_deref().unwrap_or("membership");
                let what = format!(
                    "{user} in {group}, {of}: {stands} on replica {replica}, was left {expected}"
                );
                found.push(Breach::new("likes and members", what));
            }
        }
    }
    found
}

/// The last value that the user set; `None` if it is not determined.
pub(super) fn determined(story: &Story, changes: &[Change]) -> Option<bool> {
    let is_clear = |change: &&Change| change.clean && change.outcome != Outcome::Unknown;
    let done: Vec<&Change> = changes
        .iter()
        .filter(|it| it.outcome == Outcome::Done)
        .collect();
    let last = done.last()?;
    let is_one_chain = done.iter().all(|change| change.chain == last.chain);
    let is_kept = !story.is_destroyed(last.replica, last.at_us);
    let all_clear = changes.iter().filter(is_clear).count() == changes.len();
    (is_one_chain && is_kept && all_clear).then_some(last.sets)
}

fn stands(shown: &Shown, message: Option<&str>, user: &str) -> Option<bool> {
    let Some(id) = message else {
        return Some(shown.members.iter().any(|member| member == user));
    };
    let message = shown.messages.iter().find(|message| message["id"] == *id)?;
    Some(likers(message).contains(user))
}

/// The names of the users who like a message.
pub(super) fn likers(message: &serde_json::Value) -> BTreeSet<String> {
    let users = message["liked_by"].as_array().into_iter().flatten();
    users
        .filter_map(|user| user["name"].as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::tests::{finals, history, message};
    use crate::history::Event;

    fn change(sets: bool, outcome: Outcome, message: Option<&str>) -> Event {
        Event::Standing {
            user: "ann".into(),
            group: "g".into(),
            message: message.map(str::to_owned),
            sets,
            outcome,
            clean: true,
            chain: 0,
            replica: 1,
        }
    }

    fn found(events: &[Event]) -> usize {
        let mut liked = message("a", "1");
        liked["liked_by"] = json!([{ "name": "ann" }]);
        check(&Story::of(&history(events)), &finals(&[liked])).len()
    }

    #[test]
    fn a_like_or_membership_that_is_not_as_it_was_left_is_seen() {
        let of = Some("id of a");
        let (like, unlike) = (
            change(true, Outcome::Done, of),
            change(false, Outcome::Done, of),
        );

        assert_eq!(found(&[unlike.clone(), like.clone()]), 0);
        assert_eq!(found(&[like, unlike]), 2);
        assert_eq!(found(&[change(true, Outcome::Done, None)]), 0);
        assert_eq!(found(&[change(false, Outcome::Done, None)]), 2);
    }

    #[test]
    fn nothing_is_said_where_nobody_can_tell() {
        let left = change(false, Outcome::Done, None);
        assert_eq!(
            found(&[left.clone(), change(true, Outcome::Unknown, None)]),
            0
        );
        let destroyed = Event::Destroyed {
            replica: 1,
            since_us: 0,
        };
        assert_eq!(found(&[left, destroyed]), 0);
    }
}
