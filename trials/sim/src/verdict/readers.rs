//! What readers who went from replica to replica must know in the end.
//!
//! A number with two contents hides one of them from whoever was given the other, and what a
//! destroyed disk told cannot be taken back: of what was said so only the rest is asked for.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::rescue::Subject;
use causeway_domain::timeline::Standing;

use crate::world::World;

/// (is it a membership, group or message, user).
type About = (bool, String, String);

impl World {
    /// Each reader comes once more, anywhere, and ends with what everybody sees.
    pub(super) fn expect_readers(&mut self) {
        for number in 0..self.people.readers.len() {
            let at = self.rng.index(self.size());
            self.people.readers[number].stay = None;
            self.come(number, at);
            self.follow(number, usize::MAX, false);
            let has_all = self.has_messages(number, at);
            if let Err(wrong) = has_all.and_then(|()| self.has_standings(number, at)) {
                self.violate(|| format!("reader {number} at {}: {wrong}", at + 1));
            }
        }
    }

    fn has_messages(&self, number: usize, at: usize) -> Result<(), String> {
        let reader = &self.people.readers[number];
        let disk = &self.replicas[at].disk;
        let held = |dot, hash| disk.holds(dot, hash);
        let seen = &disk.table.seen;
        for (id, message) in &seen.messages {
            if message.group != reader.group || self.ledger.is_hidden(id, held) {
                continue;
            }
            match reader.messages.get(id) {
                None => return Err(format!("message {id} was never given")),
                Some(position) if *position != message.position && self.is_plain(id) => {
                    return Err(format!("message {id} was given at another place"));
                }
                Some(_) => {}
            }
        }
        let mut invented = reader.messages.keys();
        let invented = invented.find(|&id| !seen.messages.contains_key(id) && self.is_plain(id));
        invented.map_or(Ok(()), |id| Err(format!("message {id} is nowhere")))
    }

    fn has_standings(&self, number: usize, at: usize) -> Result<(), String> {
        let reader = &self.people.readers[number];
        let seen = &self.replicas[at].disk.table.seen;
        let told = reader.standings.iter().filter(|(_, is_in)| **is_in);
        let told: BTreeSet<About> = told.map(|(about, _)| about.clone()).collect();
        let is_of_group = |of: &str| {
            let message = seen.messages.get(of);
            message.map_or(of, |message| message.group.as_str()) == reader.group.as_str()
        };
        let mut expected = standing(true, &seen.members);
        expected.extend(standing(false, &seen.likes));
        expected.retain(|(_, of, _)| is_of_group(of));
        let differing = told.symmetric_difference(&expected);
        let differing: Vec<_> = differing
            .filter(|about| self.ledger.is_plain(&subject(about)))
            .collect();
        if differing.is_empty() {
            return Ok(());
        }
        Err(format!(
            "is told something else than everybody sees: {differing:?}"
        ))
    }

    fn is_plain(&self, message: &str) -> bool {
        let id = message.to_owned();
        self.ledger.is_plain(&Subject::Message { id })
    }
}

fn standing(is_membership: bool, of: &BTreeMap<(String, String), Standing>) -> BTreeSet<About> {
    let within = of.iter().filter(|(_, standing)| standing.is_in);
    within
        .map(|((of, user), _)| (is_membership, of.clone(), user.clone()))
        .collect()
}

fn subject((is_membership, of, user): &About) -> Subject {
    let user = user.clone();
    if *is_membership {
        let group = of.clone();
        return Subject::Membership { group, user };
    }
    Subject::Like {
        message: of.clone(),
        user,
    }
}
