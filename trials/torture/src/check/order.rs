//! History is sorted by position, and a post sorts after everything its author had read or written.

use super::Breach;
use super::story::Story;
use crate::finals::Finals;

pub(super) fn check(story: &Story, finals: &Finals) -> Vec<Breach> {
    let mut found = Vec::new();
    for (group, replicas) in finals {
        for (replica, shown) in replicas {
            let place = |it: &serde_json::Value| it["position"].as_str().unwrap_or("").to_owned();
            let is_sorted = shown
                .messages
                .is_sorted_by(|one, two| place(one) < place(two));
            if !is_sorted {
                let what = format!("{group} is not in order on replica {replica}");
                found.push(Breach::new("order", what));
            }
            for message in &shown.messages {
                let text = message["text"].as_str().unwrap_or_default();
                let after = story.posts.get(text).and_then(|post| post.after.as_ref());
                if let Some(after) = after.filter(|after| **after >= place(message)) {
                    let what = format!(
                        "`{text}` is at {} on replica {replica}, not after {after}",
                        place(message)
                    );
                    found.push(Breach::new("order", what));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::{ended, finals, history, message};
    use crate::history::Outcome;

    #[test]
    fn an_answer_before_its_question_and_an_unsorted_history_are_seen() {
        let story = Story::of(&history(&[ended("reply", Outcome::Done, Some("5"))]));

        assert_eq!(check(&story, &finals(&[message("reply", "6")])), []);
        assert_eq!(check(&story, &finals(&[message("reply", "4")])).len(), 2);
        let unsorted = finals(&[message("b", "2"), message("a", "1")]);
        assert_eq!(check(&story, &unsorted).len(), 2);
    }
}
