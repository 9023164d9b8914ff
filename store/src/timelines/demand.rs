//! Demand for new steps: without any, the read model delays a step so that it covers more events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many followers want every step at once, and whether a call waits for the next one.
#[derive(Debug, Default)]
pub(super) struct Demand {
    followers: AtomicUsize,
    request_step: Notify,
}

/// A follower's registration: no step is delayed until it is dropped.
#[derive(Debug)]
pub struct Attention(Arc<Demand>);

impl Demand {
    /// Registers a follower.
    pub fn attend(self: &Arc<Self>) -> Attention {
        self.followers.fetch_add(1, Ordering::Relaxed);
        self.request_step();
        Attention(Arc::clone(self))
    }

    /// Whether any follower is registered.
    pub fn is_attended(&self) -> bool {
        self.followers.load(Ordering::Relaxed) > 0
    }

    /// Requests the next step without delay.
    pub fn request_step(&self) {
        self.request_step.notify_one();
    }

    /// Waits until a step is requested.
    pub async fn step_requested(&self) {
        self.request_step.notified().await;
    }
}

impl Drop for Attention {
    fn drop(&mut self) {
        self.0.followers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_follower_requests_the_next_step_and_is_counted_until_dropped() {
        let demand = Arc::new(Demand::default());
        assert!(!demand.is_attended());

        let (first, second) = (demand.attend(), demand.attend());
        demand.step_requested().await;

        drop(first);
        assert!(demand.is_attended());
        drop(second);
        assert!(!demand.is_attended());
    }
}
