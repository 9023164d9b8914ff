//! A reader that follows a group with its cursor across replicas receives everything once, and ends
//! with the state that every replica shows. A message with several copies may be delivered again.

use std::collections::{BTreeMap, BTreeSet};

use super::Breach;
use super::standing::{determined, likers};
use super::story::{Reading, Story};
use crate::finals::{Finals, Shown};
use crate::history::Object;
use crate::reader::object;

pub(super) fn check(story: &Story, finals: &Finals, given_again: &mut usize) -> Vec<Breach> {
    let mut found = Vec::new();
    for (name, reading) in &story.readings {
        // Differences between replicas are found by the checker `equal`.
        let shown = finals.get(&reading.group).and_then(|it| it.values().next());
        let (Some(shown), true) = (shown, reading.has_ended) else {
            continue;
        };
        let mut known = Known::begin(reading);
        for frame in &reading.frames {
            match known.take(frame) {
                Some(Again::SameStream) => {
                    found.push(breach(
                        name,
                        &format!("{} twice on one stream", frame.subject),
                    ));
                }
                Some(Again::Elsewhere) if may_have_copies(story, shown, &frame.subject) => {
                    *given_again += 1;
                }
                Some(Again::Elsewhere) => {
                    found.push(breach(
                        name,
                        &format!("{} was delivered again", frame.subject),
                    ));
                }
                None => {}
            }
        }
        found.extend(
            known
                .compare(story, reading, shown)
                .iter()
                .map(|what| breach(name, what)),
        );
    }
    found
}

/// Whether a message may have copies: its post was sent more than once, or is unknown.
fn may_have_copies(story: &Story, shown: &Shown, id: &str) -> bool {
    let message = shown.messages.iter().find(|message| message["id"] == *id);
    let post = message.and_then(|it| story.posts.get(it["text"].as_str().unwrap_or_default()));
    post.is_none_or(|post| post.tried.len() > 1)
}

fn breach(name: &str, what: &str) -> Breach {
    Breach::new("readers", format!("{name}: {what}"))
}

enum Again {
    SameStream,
    Elsewhere,
}

/// The state of a reader, built from its frames.
#[derive(Default)]
struct Known {
    likers: BTreeMap<String, BTreeSet<String>>,
    members: BTreeSet<String>,
    /// The connection on which each message was last delivered.
    given: BTreeMap<String, u64>,
    /// The object in the last frame about each message.
    objects: BTreeMap<String, Object>,
    /// Positions that were reported as settled, and the time of the last report.
    settled: BTreeMap<String, usize>,
    /// The positions at which each message was delivered, each with its time.
    places: BTreeMap<String, Vec<(usize, String)>>,
    /// The number of frames received.
    time: usize,
    /// Messages that were delivered before a settled position.
    unsettled: Vec<String>,
}

impl Known {
    fn begin(reading: &Reading) -> Self {
        let messages = reading.messages.iter();
        Self {
            likers: messages.map(|id| (id.clone(), BTreeSet::new())).collect(),
            members: reading.members.iter().cloned().collect(),
            ..Self::default()
        }
    }

    /// Records the message in a frame.
    fn take_object(&mut self, id: &str, object: &Object) {
        self.time += 1;
        let former = self.objects.insert(id.to_owned(), object.clone());
        let place = &object.position;
        if former.is_none_or(|former| former.position != *place) {
            let places = self.places.entry(id.to_owned()).or_default();
            // A message may not appear at, or move to, a place before a settled position.
            let mut later = self.settled.iter().rev().take_while(|(it, _)| *it > place);
            let stood_behind = |(settled, time): (&String, &usize)| {
                let stood = places.iter().rev().find(|(since, _)| since < time);
                stood.is_none_or(|(_, stood)| stood > settled)
            };
            if later.any(stood_behind) {
                self.unsettled.push(id.to_owned());
            }
            places.push((self.time, place.clone()));
        }
        if object.settled {
            self.settled.insert(place.clone(), self.time);
        }
    }

    /// Records a frame; returns how a message is repeated, if it is.
    fn take(&mut self, frame: &super::story::Given) -> Option<Again> {
        let subject = &frame.subject;
        if let Some(object) = &frame.object {
            self.take_object(subject, object);
        }
        match frame.event.as_str() {
            "message" => {
                let before = self.given.insert(subject.clone(), frame.connection);
                if before == Some(frame.connection) {
                    return Some(Again::SameStream);
                }
                if self.likers.contains_key(subject) {
                    return Some(Again::Elsewhere);
                }
                let likers = frame.object.iter().flat_map(|it| it.likers.iter().cloned());
                let likers = likers.collect();
                self.likers.insert(subject.clone(), likers);
            }
            "like" | "unlike" => {
                let likers = self.likers.entry(subject.clone()).or_default();
                change(
                    likers,
                    frame.by.clone().unwrap_or_default(),
                    frame.event == "like",
                );
            }
            "join" | "leave" => {
                change(&mut self.members, subject.clone(), frame.event == "join");
            }
            _ => {}
        }
        None
    }

    /// The differences between the reader's final state and the shown one.
    fn compare(&self, story: &Story, reading: &Reading, shown: &Shown) -> Vec<String> {
        let mut wrong = Vec::new();
        for message in &shown.messages {
            let id = message["id"].as_str().unwrap_or_default();
            let Some(known) = self.likers.get(id) else {
                wrong.push(format!("{} was skipped", message["text"]));
                continue;
            };
            let actual = likers(message);
            for user in known.symmetric_difference(&actual) {
                if can_tell(story, reading, Some(id), user) {
                    let says = if known.contains(user) {
                        "likes"
                    } else {
                        "does not like"
                    };
                    wrong.push(format!("believes that {user} {says} {id}"));
                }
            }
        }
        for message in &shown.messages {
            let id = message["id"].as_str().unwrap_or_default();
            let Some(told) = self.objects.get(id) else {
                continue;
            };
            let shown = object(message);
            let is_kept = story.destroyed.is_empty();
            if is_kept && (&told.position, &told.text) != (&shown.position, &shown.text) {
                wrong.push(format!(
                    "the last frame about {id} puts it at {}",
                    told.position
                ));
            }
            let [told, shown] = [told, &shown].map(|it| it.likers.iter().collect::<BTreeSet<_>>());
            let differing = told.symmetric_difference(&shown);
            for user in differing.filter(|user| can_tell(story, reading, Some(id), user)) {
                wrong.push(format!("the last frame about {id} is wrong about {user}"));
            }
        }
        let unsettled = self.unsettled.iter().filter(|_| story.destroyed.is_empty());
        wrong.extend(unsettled.map(|id| format!("{id} was delivered before a settled position")));
        let actual: BTreeSet<String> = shown.members.iter().cloned().collect();
        for user in self.members.symmetric_difference(&actual) {
            if can_tell(story, reading, None, user) {
                wrong.push(format!("is wrong about the membership of {user}"));
            }
        }
        wrong
    }
}

/// Whether a reader must know it: not if an event it received may be lost with a disk.
fn can_tell(story: &Story, reading: &Reading, message: Option<&str>, user: &str) -> bool {
    if story.destroyed.is_empty() {
        return true;
    }
    let pair = (
        reading.group.clone(),
        message.map(str::to_owned),
        user.to_owned(),
    );
    let changes = story.changes.get(&pair);
    changes.is_some_and(|changes| determined(story, changes).is_some())
}

fn change(names: &mut BTreeSet<String>, name: String, sets: bool) {
    if sets {
        names.insert(name);
    } else {
        names.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::tests::{finals, history, message, posted};
    use crate::history::Event;

    fn frame(connection: u64, event: &str, subject: &str) -> Event {
        Event::Frame {
            reader: "eve".into(),
            connection,
            replica: 1,
            event: event.into(),
            subject: subject.into(),
            by: Some("bob".into()),
            object: None,
        }
    }

    fn carrying(event: &str, message: &serde_json::Value) -> Event {
        Event::Frame {
            reader: "eve".into(),
            connection: 1,
            replica: 1,
            event: event.into(),
            subject: message["id"].as_str().unwrap().into(),
            by: Some("bob".into()),
            object: Some(object(message)),
        }
    }

    fn found(frames: &[Event], messages: &[serde_json::Value]) -> (usize, usize) {
        let mut events = posted("a");
        events.extend(posted("b"));
        events.push(posted("b").remove(0));
        events.push(Event::ReaderBegan {
            reader: "eve".into(),
            group: "g".into(),
            messages: vec![],
            members: vec!["ann".into()],
        });
        events.extend_from_slice(frames);
        events.push(Event::ReaderEnded {
            reader: "eve".into(),
        });
        let mut again = 0;
        let story = Story::of(&history(&events));
        (check(&story, &finals(messages), &mut again).len(), again)
    }

    #[test]
    fn a_skipped_message_is_seen() {
        let (a, b) = (message("a", "1"), message("b", "2"));
        let both = [
            frame(1, "message", "id of a"),
            frame(2, "message", "id of b"),
        ];

        assert_eq!(found(&both, &[a.clone(), b.clone()]), (0, 0));
        assert_eq!(found(&both[..1], &[a, b]), (1, 0));
    }

    #[test]
    fn a_message_given_twice_is_seen_unless_it_may_have_copies() {
        let (a, b) = (message("a", "1"), message("b", "2"));
        let given = |id: &str, second| [frame(1, "message", id), frame(second, "message", id)];

        assert_eq!(
            found(&given("id of a", 2), std::slice::from_ref(&a)),
            (1, 0)
        );
        assert_eq!(found(&given("id of a", 1), &[a]), (1, 0));
        assert_eq!(
            found(&given("id of b", 2), std::slice::from_ref(&b)),
            (0, 1)
        );
        assert_eq!(found(&given("id of b", 1), &[b]), (1, 0));
    }

    #[test]
    fn a_wrong_like_count_and_a_wrong_member_are_seen() {
        let given = frame(1, "message", "id of a");
        let mut liked = message("a", "1");
        liked["liked_by"] = json!([{ "name": "bob" }]);

        let like = frame(1, "like", "id of a");
        assert_eq!(
            found(&[given.clone(), like.clone()], std::slice::from_ref(&liked)),
            (0, 0)
        );
        assert_eq!(found(std::slice::from_ref(&given), &[liked]), (1, 0));
        assert_eq!(found(&[given.clone(), like], &[message("a", "1")]), (1, 0));
        let leave = frame(1, "leave", "ann");
        assert_eq!(found(&[given, leave], &[message("a", "1")]), (1, 0));
    }

    #[test]
    fn a_last_frame_that_carries_something_else_is_seen() {
        let first = message("a", "2");
        let mut liked = message("a", "1");
        liked["liked_by"] = json!([{ "name": "bob" }]);
        let given = [carrying("message", &first), carrying("like", &liked)];

        assert_eq!(found(&given, std::slice::from_ref(&liked)), (0, 0));
        let moved = message("a", "1");
        let late = [given[0].clone(), carrying("like", &moved)];
        assert_eq!(found(&late, std::slice::from_ref(&liked)), (1, 0));
        let elsewhere = [
            given[0].clone(),
            carrying("like", &liked),
            carrying("moved", &first),
        ];
        assert_eq!(found(&elsewhere, &[liked]), (2, 0));
    }

    #[test]
    fn a_message_put_before_what_was_settled_is_seen() {
        let (a, mut b) = (message("a", "1"), message("b", "2"));
        let all = [a.clone(), b.clone()];
        b["settled"] = json!(true);
        let in_order = [carrying("message", &a), carrying("message", &b)];
        let late = [carrying("message", &b), carrying("message", &a)];

        assert_eq!(found(&in_order, &all), (0, 0));
        assert_eq!(found(&late, &all), (1, 0));
    }
}
