//! The outcomes of statements, and the durability of writes.

use causeway_domain::writing::NewRow;

use super::super::{Happening, World};
use crate::disk::Durable;
use crate::hits::Hit;
use crate::replica::Fate;

impl World {
    /// Draws the outcome of the next statement.
    pub(super) fn fate(&mut self, at: usize, writes: bool) -> Fate {
        let every = self.swarm.failing_statements;
        let now_ms = self.now_ms;
        let is_healed = self.is_healed;
        let replica = &mut self.replicas[at];
        replica.statements += 1;
        if replica.away_until_ms > now_ms {
            return Fate::Failed;
        }
        if writes && replica.full_until_ms > now_ms {
            return Fate::DiskFull;
        }
        if every == 0 || is_healed || !replica.statements.is_multiple_of(every) {
            return Fate::Done;
        }
        self.hit(Hit::StatementFailed);
        if writes && self.rng.permille(500) {
            return Fate::AnswerLost;
        }
        Fate::Failed
    }

    /// Draws the outcome of the next writing statement.
    pub(super) fn fate_in_session(&mut self, at: usize) -> Fate {
        let fate = self.fate(at, true);
        if self.process(at).has_session {
            fate
        } else {
            Fate::Failed
        }
    }

    /// Starts a write to the disk and returns the delay of its answer. The write becomes durable
    /// before the answer.
    pub(super) fn send_to_disk(&mut self, at: usize, step: Durable, fate: Fate) -> u64 {
        let life = self.replicas[at].life;
        let lands_ms = self.rng.below(4);
        if matches!(fate, Fate::Done | Fate::AnswerLost) {
            self.process(at).pending = Some(step);
            self.plan(lands_ms, Happening::Lands(at, life));
        }
        lands_ms + self.rng.below(3)
    }

    pub(in crate::world) fn land(&mut self, at: usize) {
        let Some(step) = self.process(at).pending.take() else {
            return;
        };
        self.make_durable(at, step);
    }

    pub(in crate::world) fn make_durable(&mut self, at: usize, step: Durable) {
        if let Durable::Rows(rows) = &step {
            self.note_rows(at, rows);
        }
        let own = self.replicas[at]
            .disk
            .identity
            .as_ref()
            .map(|row| row.origin);
        let settled = self.replicas[at].settled;
        let promised = self.replicas[at].promised;
        if let Durable::Rows(rows) = &step {
            for row in rows.clone() {
                let envelope = &row.event.envelope;
                let (dot, hlc) = (envelope.stamp.dot(), envelope.stamp.hlc);
                let is_own = Some(dot.origin) == own;
                if let Err(wrong) = self.ledger.commit(&row.event) {
                    self.violate(|| wrong);
                }
                if !self.swarm.loses_state() && hlc <= settled {
                    self.violate(|| format!("{dot} came to {} below its settled time", at + 1));
                }
                if is_own && !self.swarm.loses_state() && hlc <= promised {
                    self.violate(|| format!("{dot} is at or below what {} closed", at + 1));
                }
                let known = row.key_digest.as_ref();
                let known = known.and_then(|key| self.replicas[at].disk.sent_under(key));
                if is_own && known.is_some() {
                    self.violate(|| format!("{dot} repeats a message that is held under its key"));
                }
            }
        }
        if let Err(broken) = self.replicas[at].disk.apply(step) {
            self.violate(|| format!("at {}: {broken}", at + 1));
        }
        if !self.ledger.rewritten.is_empty() && !self.swarm.can_fork() {
            let origins = self.ledger.rewritten.clone();
            self.violate(|| format!("seqs of {origins:?} were assigned twice"));
        }
    }

    pub(in crate::world) fn note_rows(&mut self, at: usize, rows: &[NewRow]) {
        for row in rows {
            let envelope = &row.event.envelope;
            let (dot, kind, id) = (envelope.stamp.dot(), &envelope.kind, &envelope.id);
            let id = id.get(..8).unwrap_or(id);
            let user = row.member.as_deref().unwrap_or_default();
            let user = user.get(..4).unwrap_or_default();
            self.note(format_args!("{} commits {dot} {kind} {id} {user}", at + 1));
        }
    }
}
