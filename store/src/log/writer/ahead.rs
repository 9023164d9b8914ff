//! What is decided about a peer's backlog while the batch before it is being inserted: the database need
//! not wait for it afterwards.

use causeway_domain::writing::{Decided, Needs, Task, Time, Writing};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::line::Line;
use super::{Asker, Work};

/// A batch that is decided on what another one will have made of the log. It falls with that one.
pub(super) struct Ahead {
    pub tasks: Vec<Task>,
    pub askers: Vec<Asker>,
    pub needs: Needs,
    pub decided: Decided,
}

/// Waits for the next part of a backlog and decides it; nothing where something else is to be written
/// next, or it has to be looked up first. Loses nothing when it is dropped while it waits.
pub(super) async fn decide_ahead(
    line: &mut Line,
    inbox: &mut mpsc::Receiver<Work>,
    writing: &mut Writing,
    before: &Decided,
    time: Time,
) -> Option<Ahead> {
    if !line.fill(inbox).await {
        return None;
    }
    let (tasks, askers) = line.take_backlog(Instant::now())?;
    let needs = writing.needs(&tasks);
    if !writing.is_likely_new(&tasks, &needs) {
        line.put_back(tasks, askers);
        return None;
    }
    let decided = writing.decide_ahead(before, time, &tasks, &needs);
    Some(Ahead {
        tasks,
        askers,
        needs,
        decided,
    })
}
