//! Starts and ends of processes, and losses of disks.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Epoch, Origin};
use causeway_domain::writing::machine::{Effect, Input as Came, Machine, Statement};
use causeway_domain::writing::{Beginning, Task, Writing};
use causeway_replicator_core::auth;
use causeway_replicator_core::core::{Core, Input};
use causeway_replicator_core::freshness::Incoming;
use causeway_replicator_core::instance::Instance;
use causeway_replicator_core::me::Me;

use crate::disk::{Disk, Durable};
use crate::hits::Hit;
use crate::net::Way;
use crate::replica::{Asker, CLUSTER, Doing, Fate, Process, Writer};

use super::writer::PACING;
use super::{Happening, World, number};

/// How long a start waits for the closed timestamps of peers.
const FLOOR_PATIENCE_MS: u64 = 2_000;

impl World {
    /// Starts a server unless one is running. The durable state decides its origin.
    pub(super) fn start(&mut self, at: usize) {
        if self.replicas[at].process.is_some() {
            return;
        }
        let replica = &self.replicas[at];
        if replica.away_until_ms.max(replica.stuck_until_ms) > self.now_ms {
            return self.plan(500, Happening::Start(at));
        }
        let fresh_epoch = self.rng.bits();
        let instance = Instance(self.rng.next());
        let wall_ms = self.wall_ms(at);
        let replica = &mut self.replicas[at];
        let nobody = Origin {
            replica: replica.id,
            epoch: Epoch(fresh_epoch),
        };
        let disk = &replica.disk;
        let untold = &mut self.ledger.untold;
        untold.retain(|&(dot, hash)| !disk.holds(dot, hash));
        let found = replica.disk.found(nobody);
        let (writing, beginning) = Writing::begin(replica.id, found, wall_ms, fresh_epoch);
        let row = writing.row(writing.origin());
        replica.life += 1;
        replica.is_exchanged = false;
        let life = replica.life;
        let origin = writing.origin();
        replica.process = Some(Process::new(instance, writing, beginning));
        self.note(format_args!("{} starts as {origin}: {beginning:?}", at + 1));
        if matches!(beginning, Beginning::Renewed(_)) && !self.swarm.loses_state() {
            self.violate(|| {
                format!(
                    "{} begins a new epoch without a cause: {beginning:?}",
                    at + 1
                )
            });
        }
        self.begin_step(at, Durable::Identity(row), life);
    }

    fn begin_step(&mut self, at: usize, step: Durable, life: u64) {
        let lands_ms = self.rng.below(4);
        if let Some(process) = &mut self.replicas[at].process {
            process.pending = Some(step);
        }
        self.plan(lands_ms, Happening::Lands(at, life));
        self.plan(lands_ms + 1, Happening::Writer(at, life));
    }

    /// Writes the row, then the file, then starts the core. A new origin asks its peers for their
    /// closed timestamps.
    pub(super) fn start_goes_on(&mut self, at: usize) {
        let (now, since) = (self.now(at), self.moment(at));
        let peers = (0..self.size).map(number);
        let replica = &mut self.replicas[at];
        let (id, life, protocol) = (replica.id, replica.life, replica.protocol);
        let Some(process) = &mut replica.process else {
            return;
        };
        let Writer::Starting(starting) = &mut process.writer else {
            return;
        };
        let record = starting.as_ref().map(|it| it.record(it.reserved()));
        if let Some(record) = record.filter(|it| replica.disk.file.as_ref() != Some(it)) {
            process.doing = Doing::Starting;
            return self.begin_step(at, Durable::File(record), life);
        }
        let Some(mut writing) = starting.take() else {
            return;
        };
        writing.recorded(writing.record(writing.reserved()));
        replica.stuck_at = None;
        let me = Me {
            origin: writing.origin(),
            instance: process.instance,
            cluster: CLUSTER.into(),
            peers: peers.filter(|&peer| peer != id).collect(),
            protocol,
        };
        let head = std::sync::Arc::new(writing.head().clone());
        let machine = Machine::new(since, *writing, PACING);
        process.writer = Writer::Running(Box::new(machine));
        let core = Core::new(now, me.clone(), head).with_batches_of(self.swarm.batch);
        let question = core.question();
        process.core = Some(core);
        let own = auth::Process {
            replica: id,
            instance: me.instance,
        };
        process.incoming = Some(Incoming::new(own, &me.peers));
        let beginning = process.beginning;
        self.plan(1, Happening::Wake(at, life));
        self.fold_soon(at);
        self.drive(at, Came::Woken);
        if beginning == Beginning::Continued {
            self.look_back(at);
            return self.serve(at);
        }
        if beginning != Beginning::First {
            self.hit(Hit::NewEpoch);
        }
        if let Some(process) = &mut self.replicas[at].process {
            process.asked = me.peers.len();
        }
        for peer in me.peers {
            self.send_question(at, peer, question.clone());
        }
        self.plan(FLOOR_PATIENCE_MS, Happening::Serve(at, life));
    }

    /// Before the first write, the replica receives the digests of reachable peers, except those
    /// whose answer is late.
    fn look_back(&mut self, at: usize) {
        for peer in (0..self.size).filter(|&peer| peer != at) {
            let asked = &self.replicas[peer];
            let is_reached =
                self.net.way(at, peer) == Way::Open && asked.paused_until_ms <= self.now_ms;
            let core = asked.process.as_ref().and_then(|p| p.core.as_ref());
            let is_in_time = is_reached && self.rng.permille(500);
            if let Some(core) = core.filter(|_| is_in_time) {
                let (peer, digest) = (number(peer), Box::new(core.question()));
                self.step(at, Input::AnsweredBefore { peer, digest });
            }
        }
    }

    /// A peer has reported its closed timestamp, or has not answered.
    pub(super) fn floor_came(&mut self, at: usize, closed_ts: Hlc) {
        let Some(process) = &mut self.replicas[at].process else {
            return;
        };
        process.asked_floor = process.asked_floor.max(closed_ts);
        process.asked = process.asked.saturating_sub(1);
        if process.asked == 0 {
            self.serve(at);
        }
    }

    /// Starts to serve clients.
    pub(super) fn serve(&mut self, at: usize) {
        let Some(process) = &mut self.replicas[at].process else {
            return;
        };
        if std::mem::replace(&mut process.is_serving, true) {
            return;
        }
        let closed_ts = process.asked_floor;
        if closed_ts > Hlc::default() {
            self.hit(Hit::Raised);
            self.hand_over(at, Task::Raise(closed_ts), Asker::Nobody);
        }
    }

    /// Kills a process. Its pending write becomes durable or is lost.
    pub(super) fn crash(&mut self, at: usize) {
        let Some(process) = self.replicas[at].process.take() else {
            return;
        };
        self.replicas[at].paused_until_ms = 0;
        let is_pending = process.pending.is_some();
        let is_recording = process.recording.is_some();
        self.hit(match &process.doing {
            _ if is_recording && is_pending => Hit::CrashBeforeFile,
            _ if is_recording => Hit::CrashAfterFile,
            Doing::Starting => Hit::CrashStarting,
            Doing::Reading(_) => Hit::CrashReading,
            Doing::Inserting(_, Fate::Done) if is_pending => Hit::CrashBeforeCommit,
            Doing::Inserting(_, Fate::Done) => Hit::CrashAfterCommit,
            _ => Hit::CrashIdle,
        });
        let lands = self.rng.permille(500);
        let own = process.writer.head().origin;
        self.note(format_args!("{} crashes", at + 1));
        if let Some(step) = process.pending.filter(|_| lands) {
            if let Durable::Rows(rows) = &step {
                let events = rows.iter().map(|row| &row.event);
                let events = events.map(|event| (event.envelope.stamp.dot(), event.hash));
                let own = events.filter(|(dot, _)| dot.origin == own);
                self.ledger.untold.extend(own);
            }
            self.make_durable(at, step);
        }
        self.end(at);
    }

    /// Stops an idle process in order.
    pub(super) fn stop(&mut self, at: usize) {
        let process = self.replicas[at].process.as_ref();
        let machine = process.and_then(|process| process.writer.machine());
        if !machine.is_some_and(Machine::is_idle) {
            return;
        }
        let Some(process) = self.replicas[at].process.take() else {
            return;
        };
        if process.has_session {
            self.hit(Hit::StoppedInOrder);
            self.finish(at, process);
        }
        self.note(format_args!("{} stops", at + 1));
        self.end(at);
    }

    /// Carries out the writer's last effects immediately.
    fn finish(&mut self, at: usize, mut process: Process) {
        let now = self.moment(at);
        let Some(machine) = process.writer.machine_mut() else {
            return;
        };
        let (mut came, mut effects) = (Some(Came::Closed), Vec::new());
        while let Some(input) = came.take() {
            machine.step(now, input, &mut effects);
            for effect in effects.drain(..) {
                match effect {
                    Effect::Run(Statement::Reserve { reserved, .. }) => {
                        self.make_durable(at, Durable::Reservation(reserved));
                        came = Some(Came::Reserved(Ok(())));
                    }
                    Effect::Record(record) => {
                        let is_written = self.replicas[at].stuck_until_ms <= self.now_ms;
                        if is_written {
                            self.make_durable(at, Durable::File(record));
                        }
                        came = Some(Came::Recorded(is_written));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Closes the connections to a process that has ended.
    fn end(&mut self, at: usize) {
        self.replicas[at].life += 1;
        self.people.lose_replica(at);
        // The read model commits asynchronously.
        if self.rng.permille(300) {
            self.hit(Hit::ReadModelRebuilt);
            self.replicas[at].disk.table = crate::table::Table::default();
        }
    }

    /// Replaces a replica's disk. Events that no other disk holds are destroyed.
    pub(super) fn exchange_disk(&mut self, at: usize, mut disk: Disk) {
        disk.is_causal = !self.swarm.can_fork();
        let former = std::mem::replace(&mut self.replicas[at].disk, disk);
        self.account_for_loss(&former);
    }

    /// Records the events of a disk that no other disk holds.
    pub(super) fn account_for_loss(&mut self, former: &Disk) {
        for row in &former.rows {
            let (dot, hash) = (row.event.envelope.stamp.dot(), row.event.hash);
            let mut others = self.replicas.iter();
            if others.any(|replica| replica.disk.holds(dot, hash)) {
                continue;
            }
            if self.ledger.answered.contains(&(dot, hash)) {
                self.hits.hit(Hit::Destroyed);
            }
            self.ledger.destroy(dot, hash);
        }
    }

    /// The indices of the replicas that peers can reach, which excludes the clone.
    pub(crate) fn places(&self) -> std::ops::Range<usize> {
        0..self.size
    }

    /// The origins of which disks hold different events under the same seq, each with the first
    /// such seq.
    pub(crate) fn forks(&self) -> BTreeMap<Origin, u64> {
        let mut forks = BTreeMap::new();
        let origins: BTreeSet<Origin> = self.ledger.rewritten.clone();
        for origin in origins {
            let mut first = 1;
            loop {
                let dot = causeway_domain::ids::Dot { origin, seq: first };
                let events = self.replicas.iter().map(|r| r.disk.event(dot));
                let hashes: BTreeSet<_> = events.flatten().map(|e| e.hash.0).collect();
                if hashes.is_empty() {
                    break;
                }
                if hashes.len() > 1 {
                    forks.insert(origin, first);
                    break;
                }
                first += 1;
            }
        }
        forks
    }
}

impl Process {
    fn new(instance: Instance, writing: Writing, beginning: Beginning) -> Self {
        Self {
            instance,
            writer: Writer::Starting(Some(Box::new(writing))),
            beginning,
            core: None,
            is_serving: false,
            has_session: true,
            is_cut_off: false,
            doing: Doing::Starting,
            recording: None,
            wakes_ms: None,
            pending: None,
            is_folding: false,
            pushes: BTreeMap::new(),
            online: Vec::new(),
            sees_online: BTreeSet::new(),
            asked: 0,
            asked_floor: Hlc::default(),
            ceiling_ms: None,
            known: BTreeMap::new(),
            incoming: None,
            outgoing: BTreeMap::new(),
            served: BTreeSet::new(),
        }
    }
}
