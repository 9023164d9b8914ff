//! What is decided about peers' events while the batch before it is being committed: what
//! `log/writer/ahead.rs` does.

use causeway_domain::rule::{self, Rule};
use causeway_domain::writing::{Decided, Task};

use super::super::World;
use crate::hits::Hit;
use crate::replica::{Batch, Doing};

impl World {
    /// Commits what was decided ahead if it is next; it falls otherwise.
    pub(super) fn go_on_with_ahead(&mut self, at: usize) {
        let process = self.process(at);
        let is_next =
            process.is_of_peers_alone() && process.alone.is_empty() && process.renewals.is_empty();
        if (is_next || !rule::holds(Rule::AheadFalls))
            && let Some((batch, decided)) = process.ahead.take()
        {
            return self.commit_ahead(at, batch, decided);
        }
        process.let_ahead_fall();
        self.hit(Hit::AheadFell);
        self.look_for_work(at);
    }

    /// While a batch is being committed, what peers sent is decided on what it will have made of the log.
    pub(super) fn decide_ahead(&mut self, at: usize) {
        let time = self.time(at);
        let process = self.process(at);
        let Doing::Committing(_, before, _) = &process.doing else {
            return;
        };
        if process.ahead.is_some() || process.inbox.is_empty() || !process.is_of_peers_alone() {
            return;
        }
        let (tasks, askers): (Vec<Task>, _) = process.inbox.drain(..).unzip();
        let needs = process.writing.needs(&tasks);
        if !process.writing.is_likely_new(&tasks, &needs) {
            process.inbox = tasks.into_iter().zip(askers).collect();
            return;
        }
        let decided = process.writing.decide_ahead(before, time, &tasks, &needs);
        let batch = Batch {
            tasks,
            askers,
            attempts: 0,
        };
        process.ahead = Some((batch, decided));
        self.hit(Hit::DecidedAhead);
    }

    /// Sends what was decided ahead to the disk, unless something of it is there by now.
    fn commit_ahead(&mut self, at: usize, batch: Batch, decided: Decided) {
        if !self.process(at).is_connected {
            return self.begin(at, batch);
        }
        let replica = &mut self.replicas[at];
        let process = replica.process.as_mut().expect("it runs");
        let needs = process.writing.needs(&batch.tasks);
        let facts = replica.disk.facts(&needs);
        let is_new = facts.sequences.is_empty() && facts.keys.is_empty();
        if decided.rows().is_empty() || !is_new {
            return self.begin(at, batch);
        }
        self.commit(at, batch, decided);
    }
}
