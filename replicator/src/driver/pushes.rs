//! The pushes of peers that are not answered yet.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use causeway_replicator_core::failure::StoreFailure;
use causeway_replicator_core::wire::PushAnswer;
use tokio::sync::oneshot;

use super::permits::Permit;

/// What a push is answered with.
pub(super) type Answer = Result<PushAnswer, StoreFailure>;

#[derive(Default)]
pub(super) struct Pushes(Mutex<State>);

#[derive(Default)]
struct State {
    last_ticket: u64,
    waiting: BTreeMap<u64, (oneshot::Sender<Answer>, Permit)>,
}

impl Pushes {
    /// Notes a push. The permit is held until the core has answered, also when the caller hangs up
    /// before: until then its events are in memory.
    pub fn open(&self, permit: Permit) -> (u64, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.last_ticket += 1;
        let ticket = state.last_ticket;
        state.waiting.insert(ticket, (answer, permit));
        (ticket, answered)
    }

    pub fn answer(&self, ticket: u64, answer: Answer) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((to, _)) = state.waiting.remove(&ticket) {
            // The caller may have hung up.
            let _ = to.send(answer);
        }
    }
}
