//! Who wants to see what is new: where nobody does, the read model lets it gather.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many follow each step as it comes, and whether somebody waits for the next one.
#[derive(Debug, Default)]
pub(super) struct Demand {
    followers: AtomicUsize,
    hurry: Notify,
}

/// Follows each step as it comes: until it is dropped no step is put off.
#[derive(Debug)]
pub struct Attention(Arc<Demand>);

impl Demand {
    /// Counts one who follows each step.
    pub fn attend(self: &Arc<Self>) -> Attention {
        self.followers.fetch_add(1, Ordering::Relaxed);
        self.hurry();
        Attention(Arc::clone(self))
    }

    /// Tells whether somebody follows each step.
    pub fn is_attended(&self) -> bool {
        self.followers.load(Ordering::Relaxed) > 0
    }

    /// Asks for the next step at once.
    pub fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Waits until it is asked for.
    pub async fn hurried(&self) {
        self.hurry.notified().await;
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
    async fn whoever_follows_hurries_the_next_step_and_is_counted_until_dropped() {
        let demand = Arc::new(Demand::default());
        assert!(!demand.is_attended());

        let (first, second) = (demand.attend(), demand.attend());
        demand.hurried().await;

        drop(first);
        assert!(demand.is_attended());
        drop(second);
        assert!(!demand.is_attended());
    }
}
