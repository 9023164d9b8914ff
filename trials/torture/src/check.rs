//! The checkers: from a history and the final states of all replicas, they find violations. Each
//! checks one guarantee, and is tested with an invented history that violates it.

mod equal;
mod lost;
mod order;
mod readers;
mod settled;
mod standing;
mod story;
mod twice;

use std::fmt;

use crate::finals::Finals;
use crate::history::{Entry, Event};

use story::Story;

/// The violation of a guarantee.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Breach {
    /// The guarantee.
    pub promise: &'static str,
    /// The observation.
    pub what: String,
}

impl Breach {
    fn new(promise: &'static str, what: impl Into<String>) -> Self {
        Self {
            promise,
            what: what.into(),
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.what)
    }
}

/// The result of the checkers.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// The violations, without duplicates.
    pub breaches: Vec<Breach>,
    /// Messages lost with the only disk that held them: no violation, but reported.
    pub destroyed: Vec<String>,
    /// Permitted repeated deliveries of messages.
    pub given_again: usize,
}

/// Runs all checkers.
pub fn check(entries: &[Entry], finals: &Finals) -> Verdict {
    let story = Story::of(entries);
    let mut verdict = Verdict::default();
    let mut found = seen_broken(entries);
    found.extend(equal::check(finals));
    found.extend(lost::check(&story, finals, &mut verdict.destroyed));
    found.extend(twice::check(&story, finals));
    found.extend(order::check(&story, finals));
    found.extend(standing::check(&story, finals));
    found.extend(settled::check(&story, finals));
    found.extend(readers::check(&story, finals, &mut verdict.given_again));
    found.sort();
    found.dedup();
    verdict.breaches = found;
    verdict
}

fn seen_broken(entries: &[Entry]) -> Vec<Breach> {
    let broken = entries.iter().filter_map(|entry| match &entry.event {
        Event::Broken { promise, what } => Some(Breach::new(promise, what.clone())),
        _ => None,
    });
    broken.collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::finals::Shown;
    use crate::history::Outcome;

    /// A history of these events, a millisecond apart.
    pub fn history(events: &[Event]) -> Vec<Entry> {
        let entry = |(index, event): (usize, &Event)| Entry {
            at_us: (u64::try_from(index).unwrap() + 1) * 1_000,
            event: event.clone(),
        };
        events.iter().enumerate().map(entry).collect()
    }

    pub fn message(text: &str, position: &str) -> Value {
        json!({ "id": format!("id of {text}"), "text": text, "position": position, "liked_by": [] })
    }

    /// Two replicas that show the same.
    pub fn finals(messages: &[Value]) -> Finals {
        let shown = Shown {
            messages: messages.to_vec(),
            members: vec!["ann".into()],
        };
        let replicas = BTreeMap::from([(1, shown.clone()), (2, shown)]);
        Finals::from([("g".into(), replicas)])
    }

    /// A post that replica 1 acknowledged.
    pub fn posted(text: &str) -> Vec<Event> {
        vec![
            Event::Tried {
                text: text.into(),
                replica: 1,
            },
            Event::Posted {
                text: text.into(),
                replica: 1,
                id: format!("id of {text}"),
                position: "5".into(),
            },
            ended(text, Outcome::Done, None),
        ]
    }

    pub fn ended(text: &str, outcome: Outcome, after: Option<&str>) -> Event {
        Event::PostEnded {
            text: text.into(),
            group: "g".into(),
            outcome,
            after: after.map(str::to_owned),
        }
    }

    #[test]
    fn a_good_history_breaks_nothing() {
        let history = history(&posted("a"));

        let verdict = check(&history, &finals(&[message("a", "5")]));

        assert_eq!(verdict.breaches, []);
        assert!(verdict.destroyed.is_empty());
    }

    #[test]
    fn what_was_seen_broken_is_not_forgotten() {
        let history = history(&[Event::Broken {
            promise: "sessions",
            what: "gone".into(),
        }]);

        let found = check(&history, &finals(&[])).breaches;

        assert_eq!(found, [Breach::new("sessions", "gone")]);
    }
}
