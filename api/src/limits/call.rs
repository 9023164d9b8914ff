//! The call that a task serves: its turn, which it gives back before a long wait, and how its caller
//! stands with the limits.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use poem::http::HeaderMap;

use super::{ClientAddress, Limiter, Source, Standing, Turn};
use crate::problem::Problem;

tokio::task_local! {
    static CALL: Arc<Call>;
}

/// What the edge and a handler share about one call.
pub struct Call {
    address: ClientAddress,
    turn: Mutex<Option<Turn<Source>>>,
    standings: Mutex<Vec<Standing>>,
}

impl Call {
    /// A call of the client at an address.
    pub fn of(address: ClientAddress) -> Arc<Self> {
        Arc::new(Self {
            address,
            turn: Mutex::default(),
            standings: Mutex::default(),
        })
    }

    /// The address of its client.
    pub fn address(&self) -> ClientAddress {
        self.address
    }

    /// Serves the call in its turn.
    pub async fn serve<F: Future>(
        self: Arc<Self>,
        turn: Option<Turn<Source>>,
        serving: F,
    ) -> F::Output {
        *lock(&self.turn) = turn;
        let call = self.clone();
        let output = CALL.scope(self, serving).await;
        lock(&call.turn).take();
        output
    }

    /// Counts the call at a limiter.
    pub fn count(&self, limiter: Option<&Limiter>, caller: &impl Hash) -> Result<(), Problem> {
        let Some(limiter) = limiter else {
            return Ok(());
        };
        let standing = limiter.count(caller);
        lock(&self.standings).push(standing);
        match standing.retry_after_s {
            None => Ok(()),
            Some(retry_after_s) => Err(Problem::RateLimited { retry_after_s }),
        }
    }

    /// Adds the headers that tell how the caller stands.
    pub fn add_headers(&self, headers: &mut HeaderMap) {
        for standing in &*lock(&self.standings) {
            standing.add_to(headers);
        }
    }

    /// As [`Call::count`], for the current call. Outside a call nothing is counted.
    pub fn count_here(limiter: Option<&Limiter>, caller: &impl Hash) -> Result<(), Problem> {
        let counted = CALL.try_with(|call| call.count(limiter, caller));
        counted.unwrap_or(Ok(()))
    }

    /// As [`Call::count`], for the current call, by a name and its client's address.
    pub fn count_name(limiter: Option<&Limiter>, name: &str) -> Result<(), Problem> {
        let counted = CALL.try_with(|call| call.count(limiter, &(name, call.address.network())));
        counted.unwrap_or(Ok(()))
    }

    /// Ends the turn of the current call, which waits for an event next: only calls that work have
    /// turns.
    pub fn end_turn() {
        let turn = CALL.try_with(|call| lock(&call.turn).take());
        drop(turn);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
