//! A gate (`causeway_domain::fairness`) at which calls wait: large reads here, and the calls of the
//! public port.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use causeway_domain::fairness::{Bounds, Entered, Gate};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;

/// How long a call waits for its turn before it is refused.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lets each user run a number of calls at once; the others wait in turn. Cheap to clone.
pub struct Turnstile<U: Clone + Ord>(Arc<Inner<U>>);

struct Inner<U: Clone + Ord> {
    gate: Mutex<Gate<U, Waiter<U>>>,
    begun: Instant,
}

struct Waiter<U: Clone + Ord> {
    user: U,
    turn: oneshot::Sender<Turn<U>>,
}

/// The turn of a call, which ends when this value is dropped.
pub struct Turn<U: Clone + Ord> {
    turnstile: Turnstile<U>,
    /// `None` after the turn has ended.
    user: Option<U>,
}

impl<U: Clone + Ord> Clone for Turnstile<U> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<U: Clone + Ord> Turnstile<U> {
    /// A turnstile with these bounds.
    pub fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Inner {
            gate: Mutex::new(Gate::new(bounds)),
            begun: Instant::now(),
        }))
    }

    /// Waits for a turn. `None` if too many calls of the user wait, or if it does not come in time.
    pub async fn enter(&self, user: &U) -> Option<Turn<U>> {
        self.enter_within(user, PATIENCE).await
    }

    async fn enter_within(&self, user: &U, patience: Duration) -> Option<Turn<U>> {
        let mut waiting = None;
        let waiter = || {
            let (turn, receiver) = oneshot::channel();
            waiting = Some(receiver);
            Waiter {
                user: user.clone(),
                turn,
            }
        };
        let entered = self.gate().enter(self.now(), user, waiter);
        let turn = match (entered, waiting) {
            (Entered::Running, _) => self.turn(user.clone()),
            (Entered::Waiting, Some(turn)) => timeout(patience, turn).await.ok()?.ok()?,
            _ => return None,
        };
        // A call that never waits would otherwise be over before any other task runs, and calls of
        // one user on many connections would run one after the other.
        if self.gate().is_crowding(self.now(), user) {
            yield_now().await;
        }
        Some(turn)
    }

    fn now(&self) -> Duration {
        self.0.begun.elapsed()
    }

    /// The number of users with running or waiting calls.
    pub fn users(&self) -> usize {
        self.gate().users()
    }

    fn turn(&self, user: U) -> Turn<U> {
        Turn {
            turnstile: self.clone(),
            user: Some(user),
        }
    }

    /// Ends a turn, and those of the next calls whose callers have gone.
    fn leave(&self, user: U) {
        let mut ended = VecDeque::from([user]);
        while let Some(user) = ended.pop_front() {
            let admitted = self.gate().leave(self.now(), &user);
            for Waiter { user, turn } in admitted {
                if let Err(mut unused) = turn.send(self.turn(user)) {
                    ended.extend(unused.user.take());
                }
            }
        }
    }

    fn gate(&self) -> MutexGuard<'_, Gate<U, Waiter<U>>> {
        // Nothing panics under this lock.
        self.0.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<U: Clone + Ord> Drop for Turn<U> {
    fn drop(&mut self) {
        if let Some(user) = self.user.take() {
            self.turnstile.leave(user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        running: usize::MAX,
        alone: 1,
        contended: 1,
        waiting: 2,
    };

    #[tokio::test]
    async fn a_call_waits_for_its_users_turn_and_not_for_another_users() {
        let calls = Turnstile::new(BOUNDS);
        let first = calls.enter(&"ann").await.unwrap();
        let waiting = tokio::spawn({
            let calls = calls.clone();
            async move { calls.enter(&"ann").await.is_some() }
        });

        assert!(calls.enter(&"bob").await.is_some());
        drop(first);

        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn calls_whose_callers_have_gone_are_passed_over_and_leave_nothing() {
        let calls = Turnstile::new(BOUNDS);
        let first = calls.enter(&"ann").await.unwrap();
        for _ in 0..2 {
            let mut gone = Box::pin(calls.enter(&"ann"));
            assert!(futures_util::poll!(&mut gone).is_pending());
        }
        assert!(calls.enter(&"ann").await.is_none(), "too many wait");

        drop(first);

        assert_eq!(calls.users(), 0);
    }

    #[tokio::test]
    async fn a_turn_that_does_not_come_in_time_is_given_up() {
        let calls = Turnstile::new(BOUNDS);
        let never_ends = calls.enter(&"ann").await;

        let late = calls.enter_within(&"ann", Duration::from_millis(1)).await;

        assert!(late.is_none());
        drop(never_ends);
        assert_eq!(calls.users(), 0);
    }
}
