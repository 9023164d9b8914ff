//! The invariants that hold once the replicas have converged.

mod forks;
mod readers;

use std::collections::BTreeSet;

use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::Origin;
use causeway_domain::version_vector::VersionVector;
use causeway_replicator_core::alarm::Alarm;
use causeway_replicator_core::liveness::Status;

use crate::hits::Hit;
use crate::table::{self, VisibleState};
use crate::world::World;

/// The simulated time within which replicas must converge after the faults: pending timeouts, the
/// longest pull backoff and a digest, for each hop of the longest path.
const HEALED_MS: u64 = 20_000;
const TREE_MS: u64 = 60_000;
/// How many times events that were in flight may still arrive after convergence.
const MOST_ROUNDS: u32 = 10;

impl World {
    /// Waits until the replicas converge, then checks all invariants.
    pub fn expect_agreement(&mut self) {
        let limit_ms = if self.swarm.ends_as_tree || self.swarm.versions {
            TREE_MS
        } else {
            HEALED_MS
        };
        if !self.converges(limit_ms) {
            return;
        }
        let false_alarm = self.ledger.alarms.iter().find(|(_, alarm)| {
            let is_of_fork = matches!(alarm, Alarm::Fork { .. } | Alarm::OwnEventsUnknown { .. });
            is_of_fork && !self.swarm.can_fork()
        });
        if let Some((at, alarm)) = false_alarm.cloned() {
            return self.violate(|| format!("{at} raised an alarm without a cause: {alarm}"));
        }
        self.expect_writers_are_sure();
        let is_forked = !self.forks().is_empty();
        if is_forked {
            self.hit(Hit::Forked);
            self.expect_fork_is_known();
        }
        self.expect_one_state();
        if is_forked {
            self.expect_rescue(limit_ms);
        }
    }

    /// Whether the replicas converge, apart from withheld origins, and stay so after the messages
    /// in flight have arrived, for example from a slow peer.
    fn converges(&mut self, limit_ms: u64) -> bool {
        let mut waited = self.run_until_agreed(limit_ms);
        for _ in 0..MOST_ROUNDS {
            if waited.is_none() || self.violation.is_some() {
                break;
            }
            self.run_for(6_000);
            waited = self.run_until_agreed(limit_ms);
            if waited == Some(0) {
                return self.violation.is_none();
            }
        }
        if waited.is_some() {
            self.violate(|| "new events keep arriving".to_owned());
        }
        let kept_back = self.kept_back();
        self.violate(|| format!("not agreed after {limit_ms} ms beside {kept_back:?}"));
        false
    }

    /// All replicas hold and show the same, apart from withheld origins, and know it of each other.
    fn expect_one_state(&mut self) {
        let kept_back = self.kept_back();
        self.expect_one_history(&kept_back);
        self.expect_presence();
        self.expect_nothing_waits();
        self.expect_knowledge(&kept_back);
        self.expect_readers();
        self.expect_nothing_lost();
    }

    /// Runs until all replicas hold the same, apart from withheld origins, and returns the time it
    /// took.
    pub fn run_until_agreed(&mut self, limit_ms: u64) -> Option<u64> {
        let start_ms = self.now_ms();
        while !self.is_agreed() {
            if self.now_ms() - start_ms > limit_ms || self.violation.is_some() {
                return None;
            }
            self.run_for(50);
        }
        Some(self.now_ms() - start_ms)
    }

    fn is_agreed(&self) -> bool {
        let kept_back = self.kept_back();
        let first = without(&self.held(0), &kept_back);
        self.replicas[self.places()]
            .iter()
            .enumerate()
            .all(|(at, replica)| {
                let rows = i64::try_from(replica.disk.rows.len());
                replica.is_serving()
                    && replica
                        .process
                        .as_ref()
                        .is_some_and(|process| Ok(process.writer.head().offset) == rows)
                    && Ok(replica.disk.table.checkpoint.offset) == rows
                    && replica.core().is_some()
                    && without(&self.held(at), &kept_back) == first
            })
    }

    fn held(&self, at: usize) -> VersionVector {
        let core = self.replicas[at].core();
        core.map(|core| core.question().held()).unwrap_or_default()
    }

    /// All replicas hold the same events, byte for byte, in the same order, and show their state.
    fn expect_one_history(&mut self, kept_back: &BTreeSet<Origin>) {
        let wrong = {
            let replicas = &self.replicas[self.places()];
            let bytes = |history: &[&RawEvent]| -> Vec<_> {
                let shared = history.iter();
                let shared = shared.filter(|it| !kept_back.contains(&it.envelope.stamp.origin));
                shared.map(|event| event.bytes.clone()).collect()
            };
            let first = bytes(&in_order(&replicas[0].disk.rows));
            replicas.iter().find_map(|replica| {
                let disk = &replica.disk;
                let history = in_order(&disk.rows);
                if bytes(&history) != first {
                    return Some(format!("the histories of 1 and {} differ", replica.id));
                }
                let expected = table::expected(history);
                if disk.table.visible != expected {
                    let differs = difference(&disk.table.visible, &expected);
                    return Some(format!("{} shows {differs}", replica.id));
                }
                None
            })
        };
        if let Some(wrong) = wrong {
            return self.violate(|| wrong);
        }
        let copied = self.ledger.copies.values().any(|copies| copies.len() > 1);
        if copied {
            self.hit(Hit::Copied);
        }
    }

    /// Each replica's knowledge of its peers is correct, apart from withheld origins, and
    /// everything is settled if all peers are up.
    fn expect_knowledge(&mut self, kept_back: &BTreeSet<Origin>) {
        let settles = kept_back.is_empty();
        if self.swarm.ends_as_tree {
            // What was last heard of a peer may be old.
            return;
        }
        let mut wrong = None;
        let mut is_settled = false;
        for at in self.places() {
            let replica = &self.replicas[at];
            let Some(core) = replica.core() else { continue };
            let knowledge = core.knowledge();
            let is_up = |status| status == Status::Up;
            for (&peer, known) in &knowledge.peers {
                let theirs = self.held(usize::from(peer.get()) - 1);
                let theirs = without(&theirs, kept_back);
                let held = known.held.as_deref().map(|held| without(held, kept_back));
                if is_up(known.liveness.status) && held != Some(theirs) {
                    let id = replica.id;
                    wrong = Some(format!("{id} has a wrong vector of {peer}"));
                }
            }
            let hears_all = knowledge.peers.values().all(|p| is_up(p.liveness.status));
            let highest = replica.disk.head(core_origin(core)).highest;
            if hears_all && settles && replica.settled < highest {
                wrong = Some(format!("{} has too low a settled timestamp", replica.id));
            }
            is_settled |= hears_all && settles && highest > causeway_domain::hlc::Hlc::default();
        }
        if is_settled {
            self.hit(Hit::Settled);
        }
        if let Some(wrong) = wrong {
            self.violate(|| wrong);
        }
    }

    fn expect_presence(&mut self) {
        if self.swarm.ends_as_tree && (self.swarm.slow || self.swarm.clones) {
            // What was last heard of a peer may be old.
            return;
        }
        let mut wrong = None;
        for at in self.places() {
            let replica = &self.replicas[at];
            let Some(core) = replica.core() else { continue };
            let mut everywhere = BTreeSet::new();
            for (&peer, known) in &core.knowledge().peers {
                let there = &self.replicas[usize::from(peer.get()) - 1].process;
                let online = there.iter().flat_map(|process| &process.online);
                let mut expected: BTreeSet<_> = online.collect();
                expected.retain(|_| known.liveness.status == Status::Up);
                if core.online_at(peer).collect::<BTreeSet<_>>() != expected {
                    let id = replica.id;
                    wrong = Some(format!("{id} is wrong about who is online at {peer}"));
                }
                everywhere.extend(expected.into_iter().map(|user| (&user.group, &user.id)));
            }
            let seen = replica
                .process
                .iter()
                .flat_map(|process| &process.sees_online);
            if seen.map(|(group, id)| (group, id)).collect::<BTreeSet<_>>() != everywhere {
                let id = replica.id;
                wrong = Some(format!("the readers of {id} are wrong about who is online"));
            }
        }
        if let Some(wrong) = wrong {
            self.violate(|| wrong);
        }
    }

    /// Every acknowledged event is held, unless its only copy was destroyed.
    fn expect_nothing_lost(&mut self) {
        let living = &self.replicas[self.places()];
        let is_held = |&(dot, hash): &(_, _)| living.iter().any(|r| r.disk.holds(dot, hash));
        let answered = self.ledger.answered.iter();
        let lost = answered
            .filter(|event| !self.ledger.destroyed.contains(*event))
            .filter(|event| !self.ledger.set_aside.contains(*event))
            .find(|event| !is_held(event));
        if let Some((dot, _)) = lost.copied() {
            return self.violate(|| format!("{dot} was acknowledged, and is lost"));
        }
        let lost = self.ledger.messages.iter().find(|id| {
            // A copy that was in flight when its disk was destroyed may have arrived.
            let mut copies = self.ledger.copies.get(*id).into_iter().flatten();
            let was_destroyed = copies
                .clone()
                .all(|copy| self.ledger.destroyed.contains(copy));
            !was_destroyed && !copies.any(is_held)
        });
        if let Some(id) = lost.cloned() {
            self.violate(|| format!("message {id} was acknowledged, and is lost"));
        }
    }

    fn expect_nothing_waits(&mut self) {
        // Messages sent to a slow replica before the end may still arrive.
        for _ in 0..20 {
            if self.places().all(|at| self.waiting(at).is_none()) {
                return;
            }
            self.run_for(500);
        }
        for at in self.places() {
            if let Some(waiting) = self.waiting(at) {
                self.violate(|| format!("{waiting} still wait at {}", at + 1));
            }
        }
    }
}

/// A vector without some origins.
fn without(held: &VersionVector, origins: &BTreeSet<Origin>) -> VersionVector {
    let others = held.iter().filter(|(origin, _)| !origins.contains(origin));
    others.collect()
}

/// The first difference between two states.
fn difference(visible: &VisibleState, expected: &VisibleState) -> String {
    let ids = expected.messages.keys().chain(visible.messages.keys());
    let message = ids
        .map(|id| (visible.messages.get(id), expected.messages.get(id)))
        .find(|(visible, expected)| visible != expected);
    match message {
        Some((visible, expected)) => format!("{visible:?} instead of {expected:?}"),
        None => "other likes or members than the events yield".to_owned(),
    }
}

fn core_origin(core: &causeway_replicator_core::core::Core) -> Origin {
    let question = core.question();
    Origin {
        replica: question.replica,
        epoch: question.epoch,
    }
}

fn in_order(rows: &[std::rc::Rc<causeway_domain::writing::NewRow>]) -> Vec<&RawEvent> {
    let mut events: Vec<&RawEvent> = rows.iter().map(|row| &row.event).collect();
    events.sort_by_key(|event| event.envelope.stamp.order_key());
    events
}
