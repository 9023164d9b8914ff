//! No message is shown twice, and none that was never sent or that every replica refused.

use std::collections::BTreeSet;

use super::Breach;
use super::story::Story;
use crate::finals::Finals;
use crate::history::Outcome;

pub(super) fn check(story: &Story, finals: &Finals) -> Vec<Breach> {
    let mut found = Vec::new();
    for (group, replicas) in finals {
        for (replica, shown) in replicas {
            let (mut texts, mut ids) = (BTreeSet::new(), BTreeSet::new());
            for message in &shown.messages {
                let text = message["text"].as_str().unwrap_or_default();
                let wrong = if !texts.insert(text) || !ids.insert(message["id"].as_str()) {
                    Some("is shown twice")
                } else {
                    strangeness(story, group, text)
                };
                if let Some(wrong) = wrong {
                    let what = format!("`{text}` {wrong} in {group} on replica {replica}");
                    found.push(Breach::new("twice", what));
                }
            }
        }
    }
    found
}

fn strangeness(story: &Story, group: &str, text: &str) -> Option<&'static str> {
    match story.posts.get(text) {
        None => Some("was never sent"),
        Some(post) if post.outcome.is_some() && post.group != group => Some("was sent elsewhere"),
        Some(post) if post.outcome == Some(Outcome::Refused) && post.answers.is_empty() => {
            Some("was refused by every replica")
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::{ended, finals, history, message, posted};

    fn found(messages: &[serde_json::Value]) -> usize {
        let mut events = posted("a");
        events.extend(posted("b").into_iter().take(1));
        events.push(ended("b", Outcome::Refused, None));
        events.extend(posted("c").into_iter().take(1));
        events.push(ended("c", Outcome::Unknown, None));
        check(&Story::of(&history(&events)), &finals(messages)).len()
    }

    #[test]
    fn a_second_copy_a_stranger_and_a_refused_message_are_seen_on_both_replicas() {
        assert_eq!(found(&[message("a", "1")]), 0);
        let mut copy = message("a", "2");
        copy["id"] = "another".into();
        assert_eq!(found(&[message("a", "1"), copy]), 2);
        assert_eq!(found(&[message("x", "1")]), 2);
        assert_eq!(found(&[message("b", "1")]), 2);
    }

    #[test]
    fn a_message_of_which_nobody_knows_may_be_there() {
        assert_eq!(found(&[message("a", "1"), message("c", "2")]), 0);
    }
}
