//! Pipelining: the next batch of a backlog is decided while the previous one is being inserted, on
//! the head after that one. It is discarded if the previous one is not committed.

use crate::writing::{Decided, Needs};

use super::Machine;
use super::batch::Batch;

/// A batch decided on the head after an uncommitted one.
pub(super) struct Pipelined<R> {
    pub batch: Batch<R>,
    needs: Needs,
    decided: Decided,
}

impl<R> Machine<R> {
    /// Decides the next batch of a backlog, unless other work is next or rows have to be read for
    /// it. Attempted once per insertion.
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

    /// Inserts the pipelined batch, if it is still next.
    pub(super) fn insert_pipelined(&mut self, pipelined: Pipelined<R>) {
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
        crate::mutant!(PipelinedFalls => true);
        self.queue.has_only_peers(self.now.since_start)
    }

    /// Discards the decision of the pipelined batch, which returns to its place in the queue.
    pub(super) fn drop_pipelined(&mut self) {
        if let Some(pipelined) = self.pipelined.take_if(|_| depends_on_previous()) {
            self.queue.put_back(pipelined.batch);
        }
    }
}

/// Whether a pipelined batch depends on the commit of the previous one: always.
fn depends_on_previous() -> bool {
    crate::mutant!(PipelinedFalls => false);
    true
}
