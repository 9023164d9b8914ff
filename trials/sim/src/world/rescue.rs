//! The rescue of a fork: an operator stops the yielding side and runs `new-epoch --rescue` there.
//! This module simulates the shell of that command; its decisions are production code.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::chain::Hash;
use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::{Dot, Epoch, Origin};
use causeway_domain::rescue::{Parting, Speakers, Subject};
use causeway_domain::stamp::OrderKey;
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::{Record, Row, Task, Verdict, Writing, draw};
use causeway_replicator_core::orphans;

use crate::disk::{Disk, Durable};
use crate::hits::Hit;

use super::{Happening, World};

impl World {
    /// Rescues replicas one by one until no two hold different events under one dot. Returns the
    /// number of rescues.
    pub(crate) fn rescue_all(&mut self) -> usize {
        let mut rescued = 0;
        let is_first_followed = self.rng.permille(500);
        while let Some((stays, yields)) = self.find_fork(is_first_followed) {
            self.rescue(yields, stays);
            self.hit(Hit::Rescued);
            rescued += 1;
            if rescued > self.size() * self.size() {
                self.violate(|| "rescues do not terminate".to_owned());
                return rescued;
            }
        }
        rescued
    }

    /// The indices of two replicas that hold different events under one dot: the side to follow,
    /// which is the first or the last holder, and the side that yields.
    fn find_fork(&self, is_first_followed: bool) -> Option<(usize, usize)> {
        let (origin, seq) = self.forks().pop_first()?;
        let dot = Dot { origin, seq };
        let hash = |at: usize| self.replicas[at].disk.event(dot).map(|event| event.hash);
        let mut places: Vec<usize> = self.places().collect();
        if !is_first_followed {
            places.reverse();
        }
        places.retain(|&at| hash(at).is_some());
        let stays = *places.first()?;
        let yields = places.into_iter().find(|&at| hash(at) != hash(stays))?;
        Some((stays, yields))
    }

    fn rescue(&mut self, at: usize, follow: usize) {
        self.crash(at);
        let parting = part(&self.replicas[at].disk, &self.replicas[follow].disk);
        self.note(format_args!(
            "{} is rescued, {} is followed: {parting:?}",
            at + 1,
            follow + 1
        ));
        self.find_unordered(at, follow);
        let removed = self.replicas[at].disk.sever(&parting);
        let leaving = removed.iter();
        let leaving = leaving.map(|event| (event.envelope.stamp.dot(), event.hash));
        self.ledger.set_aside.extend(leaving);
        self.new_epoch(at, &removed);
        let mut writing = self.open(at);
        let closed_timestamps = self.places().filter_map(|other| {
            let process = self.replicas[other].process.as_ref()?;
            Some(process.writer.head().closed_ts)
        });
        let closed_ts = closed_timestamps.max().unwrap_or_default();
        self.store(at, &mut writing, Task::Raise(closed_ts));
        let severed = parting.0.keys().copied().collect();
        self.pull_all(at, follow, &mut writing, &severed);
        self.write_again(at, &mut writing, &removed);
        let record = writing.record(writing.reserved());
        self.make_durable(at, Durable::File(record));
        self.plan(1, Happening::Start(at));
    }

    /// Records the subjects for which a rescue need not keep the newest write: two events may have
    /// the same order key, and rewritten events sort after those that the followed side does not
    /// hold.
    fn find_unordered(&mut self, at: usize, follow: usize) {
        let followed = &self.replicas[follow].disk;
        for other in self.places() {
            for event in self.replicas[other].disk.rows.iter().map(|row| &row.event) {
                let stamp = &event.envelope.stamp;
                let subject = Subject::of(&event.envelope);
                let found = followed.event(stamp.dot());
                let is_tied = found.is_some_and(|known| {
                    known.hash != event.hash
                        && known.envelope.stamp.order_key() == stamp.order_key()
                        && Subject::of(&known.envelope) == subject
                });
                let is_unheard = found.is_none_or(|known| known.hash != event.hash);
                if (other == at && is_tied) || (other != at && is_unheard) {
                    self.ledger.unordered.insert(subject);
                }
            }
        }
    }

    fn new_epoch(&mut self, at: usize, removed: &[RawEvent]) {
        let fresh_epoch = self.rng.bits();
        let replica = &self.replicas[at];
        let disk = &replica.disk;
        let (Some(row), Some(file)) = (&disk.identity, &disk.file) else {
            return self.violate(|| format!("{} is rescued before its first start", at + 1));
        };
        let head = disk.head(row.origin);
        let stamps = || removed.iter().map(|event| &event.envelope.stamp);
        let origin = draw(replica.id, fresh_epoch, |origin| {
            head.vector.get(origin) > 0
                || origin == row.origin
                || origin == file.origin
                || stamps().any(|stamp| stamp.origin == origin)
        });
        let readings = [row.reserved, file.hlc, head.highest].into_iter();
        let reserved = readings.chain(stamps().map(|stamp| stamp.hlc)).max();
        let reserved = reserved.unwrap_or_default();
        let (row, record) = (
            Row {
                origin,
                reserved,
                ..row.clone()
            },
            Record {
                origin,
                seq_seen: 0,
                hlc: reserved,
                ..file.clone()
            },
        );
        self.make_durable(at, Durable::Identity(row));
        self.make_durable(at, Durable::File(record));
    }

    fn open(&mut self, at: usize) -> Writing {
        let wall_ms = self.wall_ms(at);
        let fresh_epoch = self.rng.bits();
        let replica = &self.replicas[at];
        let nobody = Origin {
            replica: replica.id,
            epoch: Epoch(fresh_epoch),
        };
        let found = replica.disk.found(nobody);
        let (writing, _) = Writing::begin(replica.id, found, wall_ms, fresh_epoch);
        let row = writing.row(writing.origin());
        self.make_durable(at, Durable::Identity(row));
        let record = writing.record(writing.reserved());
        self.make_durable(at, Durable::File(record));
        writing
    }

    fn store(&mut self, at: usize, writing: &mut Writing, task: Task) -> Option<Verdict> {
        let wall_ms = self.wall_ms(at);
        let tasks = [task];
        let needs = writing.needs(&tasks);
        let facts = self.replicas[at].disk.facts(&needs);
        let decided = writing.decide(wall_ms, &tasks, &needs, facts);
        let rows = decided.rows().to_vec();
        self.note_rows(at, &rows);
        for row in &rows {
            if let Err(wrong) = self.ledger.commit(&row.event) {
                self.violate(|| wrong);
            }
        }
        if let Err(broken) = self.replicas[at].disk.apply(Durable::Rows(rows)) {
            self.violate(|| format!("the rescue of {}: {broken}", at + 1));
        }
        writing.committed(decided).pop()
    }

    /// Pulls everything that a peer holds.
    fn pull_all(
        &mut self,
        at: usize,
        from: usize,
        writing: &mut Writing,
        severed: &BTreeSet<Origin>,
    ) {
        loop {
            let held = writing.head().vector.clone();
            let events = self.replicas[from].read_beyond(&held, self.swarm.batch);
            let mut forked = orphans::in_pull(&events, &held);
            forked.extend(severed);
            let before = writing.head().offset;
            self.store(at, writing, Task::Absorb { events, forked });
            if writing.head().offset == before {
                return;
            }
        }
    }

    /// Writes the removed events that are still needed again, in their old order, under the new
    /// epoch.
    fn write_again(&mut self, at: usize, writing: &mut Writing, removed: &[RawEvent]) {
        let disk = &self.replicas[at].disk;
        let is_back = |event: &&RawEvent| disk.holds(event.envelope.stamp.dot(), event.hash);
        let mut waiting: Vec<&RawEvent> = removed.iter().filter(|event| !is_back(event)).collect();
        waiting.sort_by_key(|event| event.envelope.stamp.order_key());
        let mut speakers = Speakers::default();
        for event in &waiting {
            let key = event.envelope.stamp.order_key();
            speakers.hear(Subject::of(&event.envelope), key);
        }
        let decided = decided(disk);
        let missed = waiting.into_iter().filter(|event| {
            let subject = Subject::of(&event.envelope);
            let stamp = &event.envelope.stamp;
            if subject == Subject::Unknown {
                return stamp.origin.replica == self.replicas[at].id && !is_said(disk, event);
            }
            speakers.is_missed(&subject, stamp.order_key(), decided.get(&subject).copied())
        });
        let missed: Vec<_> = missed.map(|event| (*event.envelope).clone()).collect();
        if !missed.is_empty() {
            self.hit(Hit::WrittenAgain);
            let before = self.replicas[at].disk.rows.len();
            self.store(at, writing, Task::Restamp(missed));
            let again = self.replicas[at].disk.rows[before..].iter();
            let again = again.map(|row| row.event.envelope.stamp.dot());
            self.ledger.written_again.extend(again);
        }
    }
}

/// The highest common seq of each origin on which two replicas differ.
fn part(ours: &Disk, theirs: &Disk) -> Parting {
    let nobody = ours.identity.as_ref().map(|row| row.origin);
    let held = nobody.map_or_else(VersionVector::default, |own| ours.head(own).vector);
    let parted = held.iter().filter_map(|(origin, seq)| {
        let both = seq.min(theirs.seq(origin));
        let is_shared = |seq: &u64| chain(ours, origin, *seq) == chain(theirs, origin, *seq);
        let shared = (0..=both).rev().find(is_shared)?;
        (shared < both).then_some((origin, shared))
    });
    Parting(parted.collect())
}

fn chain(disk: &Disk, origin: Origin, seq: u64) -> Hash {
    disk.hash_at(origin, seq)
}

/// The highest order key of the held events about each subject.
fn decided(disk: &Disk) -> BTreeMap<Subject, OrderKey> {
    let mut decided = BTreeMap::new();
    for row in &disk.rows {
        let envelope = &row.event.envelope;
        let key = envelope.stamp.order_key();
        let newest = decided.entry(Subject::of(envelope)).or_insert(key);
        *newest = key.max(*newest);
    }
    decided
}

/// Whether an event with the same content is held.
fn is_said(disk: &Disk, event: &RawEvent) -> bool {
    let said = |event: &RawEvent| {
        let envelope = &event.envelope;
        let content = envelope.event.get().to_owned();
        (
            envelope.id.clone(),
            envelope.kind.clone(),
            envelope.at,
            content,
        )
    };
    let mut rows = disk.rows.iter();
    rows.any(|row| said(&row.event) == said(event))
}
