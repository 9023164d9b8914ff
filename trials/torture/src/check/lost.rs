//! Every acknowledged post is present at the end, unless the only disks that held it were
//! destroyed; those are counted separately.

use std::collections::BTreeSet;

use super::Breach;
use super::story::{Post, Story};
use crate::finals::Finals;

pub(super) fn check(story: &Story, finals: &Finals, destroyed: &mut Vec<String>) -> Vec<Breach> {
    let mut found = Vec::new();
    for (group, replicas) in finals {
        for (replica, shown) in replicas {
            let texts: BTreeSet<&str> = shown
                .messages
                .iter()
                .filter_map(|it| it["text"].as_str())
                .collect();
            let answered = story
                .posts
                .iter()
                .filter(|(_, post)| post.group == *group && !post.answers.is_empty());
            for (text, post) in answered.filter(|(text, _)| !texts.contains(text.as_str())) {
                match survivor(story, post) {
                    Some(holder) => found.push(Breach::new(
                        "lost",
                        format!(
                            "`{text}` is not on replica {replica}, though replica {holder} had it"
                        ),
                    )),
                    None => destroyed.push(text.clone()),
                }
            }
        }
    }
    destroyed.sort();
    destroyed.dedup();
    found
}

/// A replica that held the post and did not lose it.
fn survivor(story: &Story, post: &Post) -> Option<u16> {
    let answered = post
        .answers
        .iter()
        .find(|(replica, at_us, _)| !story.is_destroyed(*replica, *at_us));
    if let Some((replica, _, _)) = answered {
        return Some(*replica);
    }
    let made_us = post.answers.iter().map(|(_, at_us, _)| *at_us).min()?;
    let held = post
        .answers
        .iter()
        .filter_map(|(_, _, id)| story.held.get(id))
        .flatten();
    let mut holders = held.filter_map(|(&(replica, by), times)| {
        let is_kept = if replica == by {
            times
                .iter()
                .any(|at_us| !story.is_destroyed(replica, *at_us))
        } else {
            // Another replica's report may be older than the loss of the disk.
            !story.loses_later(replica, made_us)
        };
        is_kept.then_some(replica)
    });
    holders.next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::{finals, history, message, posted};
    use crate::history::Event;

    fn found(more: &[Event]) -> (usize, usize) {
        let mut events = posted("a");
        events.extend_from_slice(more);
        let mut destroyed = Vec::new();
        let story = Story::of(&history(&events));
        let found = check(&story, &finals(&[message("b", "1")]), &mut destroyed);
        (found.len(), destroyed.len())
    }

    fn loses_its_disk(replica: u16, since_us: u64) -> Event {
        Event::Destroyed { replica, since_us }
    }

    fn holds(replica: u16, by: u16) -> Event {
        Event::Held {
            id: "id of a".into(),
            replica,
            by,
        }
    }

    #[test]
    fn a_message_that_was_answered_and_is_nowhere_is_lost_on_each_replica() {
        assert_eq!(found(&[]), (2, 0));
        assert_eq!(found(&[loses_its_disk(2, 0)]), (2, 0));
    }

    #[test]
    fn it_is_destroyed_only_when_no_other_replica_is_known_to_have_had_it() {
        assert_eq!(found(&[loses_its_disk(1, 0)]), (0, 1));
        assert_eq!(found(&[holds(2, 2), loses_its_disk(1, 0)]), (2, 0));
        assert_eq!(found(&[holds(2, 1), loses_its_disk(1, 0)]), (2, 0));
    }

    #[test]
    fn a_backup_that_has_it_does_not_destroy_it() {
        assert_eq!(found(&[loses_its_disk(1, 60_000_000)]), (2, 0));
    }

    #[test]
    fn what_a_disk_gets_after_its_loss_is_kept() {
        let again = [loses_its_disk(1, 0), holds(1, 1)];
        assert_eq!(found(&again), (2, 0));
    }

    #[test]
    fn two_disks_that_had_it_may_both_be_destroyed() {
        let both = [holds(2, 1), loses_its_disk(1, 0), loses_its_disk(2, 0)];
        assert_eq!(found(&both), (0, 1));
    }
}
