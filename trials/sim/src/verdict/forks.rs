//! The invariants that hold beside a fork, and after its rescue.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::ids::Origin;
use causeway_domain::register::Register;
use causeway_domain::rescue::Subject;
use causeway_domain::timeline::Declaration;
use causeway_replicator_core::alarm::Alarm;
use causeway_replicator_core::liveness::Status;

use crate::table::{self, VisibleState};
use crate::world::World;

use super::in_order;

impl World {
    /// After the yielding sides are rescued, all replicas converge, and the content of both sides
    /// is present.
    pub(super) fn expect_rescue(&mut self, limit_ms: u64) {
        let living = self.replicas[self.places()].iter();
        let events = living.flat_map(|replica| in_order(&replica.disk.rows));
        let before = Content::of(&table::expected(events));
        let rescued = self.rescue_all();
        if !self.converges(limit_ms) {
            return;
        }
        self.expect_one_state();
        let after = Content::of(&self.replicas[0].disk.table.visible);
        if self.kept_back().is_empty() && self.violation.is_none() {
            if before.messages != after.messages {
                self.violate(|| format!("a rescue makes {before:?} into {after:?}"));
            }
            // After several rescues, the last one decides likes and memberships, not the last
            // write.
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

    /// The origins that are not exchanged: the forked ones, and those marked because of a report of
    /// a peer that is down.
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

    /// No replica writes as an origin of which another replica holds more, or different, events.
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
                "{} writes as {origin}, of which {} holds more or other events",
                replica.id, other.id
            ))
        });
        if let Some(unsure) = unsure {
            self.violate(|| unsure);
        }
    }

    /// Every fork has raised an alarm.
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
                self.violate(|| format!("{origin} has two histories, and no alarm was raised"));
            }
        }
    }
}

/// The content of a state: its messages, likes and memberships, without their positions.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    messages: BTreeSet<String>,
    likes: BTreeSet<(String, String)>,
    members: BTreeSet<(String, String)>,
}

impl Content {
    pub(super) fn of(visible: &VisibleState) -> Self {
        let is_in = |of: &BTreeMap<(String, String), Register<Declaration>>| {
            let within = of.iter().filter(|(_, register)| register.value.is_in);
            within.map(|(pair, _)| pair.clone()).collect()
        };
        Self {
            messages: visible.messages.keys().cloned().collect(),
            likes: is_in(&visible.likes),
            members: is_in(&visible.members),
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
