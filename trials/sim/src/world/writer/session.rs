//! The session on the database, and as whom it writes.

use causeway_domain::ids::Origin;
use causeway_domain::writing::{Decided, Record, Row, Verdict};
use causeway_replicator_core::failure::StoreFailure;

use super::super::{Happening, World};
use super::{ATTEMPTS, PATIENCE_MS, RENEW_AGAIN_MS};
use crate::disk::Durable;
use crate::hits::Hit;
use crate::replica::{Batch, Doing, Fate};

impl World {
    pub(super) fn connect(&mut self, at: usize, waiting: Option<(Batch, Option<Decided>)>) {
        let until_ms = self.now_ms + PATIENCE_MS;
        let in_ms = self.rng.between(1, 20);
        self.does(at, Doing::Connecting(waiting, until_ms), in_ms);
    }

    pub(in crate::world) fn lose_connection(&mut self, at: usize) {
        let process = self.process(at);
        process.is_connected = false;
        process.let_ahead_fall();
        process.writing.forget();
    }

    pub(super) fn connected(
        &mut self,
        at: usize,
        waiting: Option<(Batch, Option<Decided>)>,
        until_ms: u64,
    ) {
        let is_reachable = self.fate(at, false) == Fate::Done && !self.process(at).is_cut_off;
        if !is_reachable {
            let Some((mut batch, decided)) = waiting else {
                return;
            };
            if self.now_ms < until_ms {
                let doing = Doing::Connecting(Some((batch, decided)), until_ms);
                return self.does(at, doing, 100);
            }
            self.hit(Hit::GaveUp);
            // What may have been committed is settled by the next session, whenever that comes.
            batch.attempts += 1;
            if decided.is_some() && batch.attempts < ATTEMPTS {
                self.connect(at, Some((batch, decided)));
            } else {
                self.refuse(at, batch, StoreFailure::Unavailable);
            }
            return;
        }
        // The lock is free only when the former session has ended.
        self.land(at);
        let replica = &mut self.replicas[at];
        let process = replica.process.as_mut().expect("it runs");
        let head = replica.disk.head(process.writing.origin());
        let (server, row) = (&replica.disk.server, replica.disk.identity.as_ref());
        if let Err(not_ours) = process.writing.resume(server, row, head) {
            process.is_cut_off = true;
            let life = replica.life;
            let is_exchanged = replica.is_exchanged;
            self.plan(2_000, Happening::Restart(at, life));
            if !is_exchanged && at < self.size {
                self.violate(|| format!("{} does not know its own database", at + 1));
            }
            self.hit(Hit::RestoredBeneath);
            self.note(format_args!("{} {not_ours}", at + 1));
            if let Some((batch, _)) = waiting {
                self.refuse(at, batch, StoreFailure::Unavailable);
            }
            return;
        }
        process.is_connected = true;
        match waiting {
            None => self.tick_now(at),
            Some((batch, Some(decided))) => {
                let process = self.process(at);
                match process.writing.was_committed(decided) {
                    Some(verdicts) => {
                        self.hit(Hit::CommittedAfterAll);
                        self.written(at, batch, verdicts);
                    }
                    None => self.again(at, batch),
                }
            }
            Some((batch, None)) => self.begin(at, batch),
        }
    }

    pub(super) fn begin_record(
        &mut self,
        at: usize,
        record: Record,
        then: Option<(Batch, Vec<Verdict>)>,
    ) {
        let replica = &self.replicas[at];
        let is_stuck = replica.full_until_ms.max(replica.stuck_until_ms) > self.now_ms;
        let fate = if is_stuck { Fate::Failed } else { Fate::Done };
        let in_ms = self.send_to_disk(at, Durable::File(record.clone()), fate);
        self.does(at, Doing::Recording(record, fate, then), in_ms);
    }

    pub(super) fn recorded(
        &mut self,
        at: usize,
        record: Record,
        fate: Fate,
        then: Option<(Batch, Vec<Verdict>)>,
    ) {
        let now_ms = self.now_ms;
        let process = self.process(at);
        process.recorded_at_ms = Some(now_ms);
        process.is_file_tried = true;
        if fate == Fate::Done {
            process.writing.recorded(record);
            self.replicas[at].stuck_at = None;
        } else {
            process.writing.not_recorded();
            let origin = process.writing.origin();
            let own = process.writing.head().vector.get(origin);
            self.replicas[at].stuck_at.get_or_insert(own);
        }
        match then {
            Some((batch, verdicts)) => self.respond(at, batch, verdicts),
            None => self.publish(at),
        }
    }

    pub(super) fn begin_renewal(&mut self, at: usize, former: Origin) {
        let fresh_epoch = self.rng.bits();
        let process = self.process(at);
        let Some(origin) = process.writing.renew(former, fresh_epoch) else {
            return self.look_for_work(at);
        };
        if !process.is_connected {
            process.renewals.push_back(former);
            return self.connect(at, None);
        }
        let row = Row {
            origin,
            reserved: process.writing.reserved(),
            system_identifier: process.writing.server().system_identifier.clone(),
            timeline: process.writing.server().timeline.clone(),
        };
        let fate = self.fate(at, true);
        let in_ms = self.send_to_disk(at, Durable::Identity(row), fate);
        self.does(at, Doing::Renewing(origin, fate), in_ms);
    }

    pub(super) fn renewed(&mut self, at: usize, origin: Origin, fate: Fate) {
        if fate != Fate::Done {
            // Who it writes as is in doubt then: it must be started again.
            self.replicas[at].is_exchanged |= fate == Fate::AnswerLost;
            let former = self.process(at).writing.origin();
            let life = self.replicas[at].life;
            self.plan(RENEW_AGAIN_MS, Happening::RenewAgain(at, life, former));
            return self.lose_connection(at);
        }
        self.hit(Hit::Renewed);
        if !self.swarm.loses_state() {
            self.violate(|| format!("{} draws a new epoch without a cause", at + 1));
        }
        let process = self.process(at);
        process.writing.renewed(origin);
        let record = process.writing.record(process.writing.reserved());
        self.begin_record(at, record, None);
    }
}
