//! Pipelining: the next batch of a backlog is decided while the one before it is being inserted, on what
//! that will have made of the log. It falls with that one.

use crate::writing::{Decided, Needs};

use super::Machine;
use super::batch::Batch;

/// A batch that is decided on one that is not committed yet.
pub(super) struct Pipelined<R> {
    pub batch: Batch<R>,
    needs: Needs,
    decided: Decided,
}

impl<R> Machine<R> {
    /// Decides the next part of a backlog, unless something else is to be written next, or something has
    /// to be read for it. Tried once for each insertion.
    pub(super) fn pipeline(&mut self, before: &Decided) {
        let now = self.now.since_start;
        if !self.may_pipeline || !self.queue.is_ready(now, self.is_closed) {
            return;
        }
        self.may_pipeline = false;
        let Some(batch) = self.queue.take_backlog(now) else {
            return;
        };
        let needs = self.writing.needs(&batch.tasks);
        if !self.writing.is_likely_new(&batch.tasks, &needs) {
            return self.queue.put_back(batch);
        }
        let time = self.now.time;
        let decided = self
            .writing
            .decide_ahead(before, time, &batch.tasks, &needs);
        self.pipelined = Some(Pipelined {
            batch,
            needs,
            decided,
        });
    }

    /// Inserts what was decided so, if it is still next.
    pub(super) fn go_on_with(&mut self, pipelined: Pipelined<R>) {
        if !self.is_pipelined_next() {
            return self.queue.put_back(pipelined.batch);
        }
        let Pipelined {
            batch,
            needs,
            decided,
        } = pipelined;
        if decided.rows().is_empty() {
            self.attempt(batch);
        } else {
            self.insert(batch, decided, Some(needs), true);
        }
    }

    fn is_pipelined_next(&self) -> bool {
        crate::mutant!(AheadFalls => true);
        self.queue.is_of_peers_alone(self.now.since_start)
    }

    /// What was decided so is not true: it waits in its old place.
    pub(super) fn drop_pipelined(&mut self) {
        if let Some(pipelined) = self.pipelined.take_if(|_| falls()) {
            self.queue.put_back(pipelined.batch);
        }
    }
}

/// Tells whether a batch falls with the one that it was decided on.
fn falls() -> bool {
    crate::mutant!(AheadFalls => false);
    true
}
