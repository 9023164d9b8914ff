//! What must be so where something has forked, and once it is rescued.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::ids::Origin;
use causeway_domain::register::Register;
use causeway_domain::rescue::Subject;
use causeway_domain::timeline::Declaration;
use causeway_replicator_core::alarm::Alarm;
use causeway_replicator_core::liveness::Status;

use crate::table::{self, Seen};
use crate::world::World;

use super::in_order;

impl World {
    /// Once the sides that yield are rescued, everything is the same everywhere, and what was said
    /// on either side is there.
    pub(super) fn expect_rescue(&mut self, limit_ms: u64) {
        let living = self.replicas[self.places()].iter();
        let events = living.flat_map(|replica| in_order(&replica.disk.rows));
        let before = Said::of(&table::expected(events));
        let rescued = self.rescue_all();
        if !self.comes_together(limit_ms) {
            return;
        }
        self.expect_one_state();
        let after = Said::of(&self.replicas[0].disk.table.seen);
        if self.kept_back().is_empty() && self.violation.is_none() {
            if before.messages != after.messages {
                self.violate(|| format!("a rescue makes {before:?} into {after:?}"));
            }
            // Of several rescues the last one tells, whatever was said last on either side.
            let unordered = &self.ledger.unordered;
            if rescued == 1 && before.but(unordered) != after.but(unordered) {
                self.violate(|| format!("one rescue makes {before:?} into {after:?}"));
            }
        }
    }

    pub(super) fn is_alarmed_of_forks(&self) -> bool {
        let mut alarms = self.ledger.alarms.iter();
        alarms.any(|(_, alarm)| matches!(alarm, Alarm::Fork { .. }))
    }

    /// The origins that are not exchanged: the forked ones, and those marked so because of a peer
    /// that is not heard of any more.
    pub(super) fn kept_back(&self) -> BTreeSet<Origin> {
        if !self.is_alarmed_of_forks() {
            return BTreeSet::new();
        }
        let mut origins: BTreeSet<Origin> = self.forks().into_keys().collect();
        for core in self.places().filter_map(|at| self.replicas[at].core()) {
            let knowledge = core.knowledge();
            let silent = knowledge.peers.values();
            let silent = silent.filter(|peer| peer.liveness.status == Status::Down);
            origins.extend(silent.flat_map(|peer| &peer.forked));
        }
        origins
    }

    /// Nobody goes on as an origin of which another holds more, or other events.
    pub(super) fn expect_writers_are_sure(&mut self) {
        let replicas = &self.replicas[self.places()];
        let unsure = replicas.iter().find_map(|replica| {
            let (origin, disk) = (replica.origin()?, &replica.disk);
            let knows_better = |other: &&crate::replica::Replica| {
                let seq = other.disk.seq(origin);
                seq > disk.seq(origin)
                    || other.disk.hash_at(origin, seq) != disk.hash_at(origin, seq)
            };
            let other = replicas.iter().find(knows_better)?;
            Some(format!(
                "{} goes on as {origin}, which {} knows better",
                replica.id, other.id
            ))
        });
        if let Some(unsure) = unsure {
            self.violate(|| unsure);
        }
    }

    /// Two histories of one origin are alarmed.
    pub(super) fn expect_fork_is_known(&mut self) {
        for origin in self.forks().into_keys() {
            let mut alarms = self.ledger.alarms.iter();
            let is_alarmed = alarms.any(|(_, alarm)| match alarm {
                Alarm::Fork { origin: told, .. } | Alarm::OwnEventsUnknown { origin: told, .. } => {
                    *told == origin
                }
                _ => false,
            });
            if !is_alarmed {
                self.violate(|| format!("{origin} has two histories, and nobody was alarmed"));
            }
        }
    }
}

/// What is said, whoever wrote it down.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    messages: BTreeSet<String>,
    likes: BTreeSet<(String, String)>,
    members: BTreeSet<(String, String)>,
}

impl Said {
    pub(super) fn of(seen: &Seen) -> Self {
        let is_in = |of: &BTreeMap<(String, String), Register<Declaration>>| {
            let within = of.iter().filter(|(_, register)| register.value.is_in);
            within.map(|(pair, _)| pair.clone()).collect()
        };
        Self {
            messages: seen.messages.keys().cloned().collect(),
            likes: is_in(&seen.likes),
            members: is_in(&seen.members),
        }
    }

    fn but(&self, left_out: &BTreeSet<Subject>) -> Self {
        let mut rest = self.clone();
        for subject in left_out {
            match subject {
                Subject::Like { message, user } => {
                    rest.likes.remove(&(message.clone(), user.clone()));
                }
                Subject::Membership { group, user } => {
                    rest.members.remove(&(group.clone(), user.clone()));
                }
                Subject::Message { .. } | Subject::Unknown => {}
            }
        }
        rest
    }
}
