//! Ends a start that is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A request to end a start, from another thread. Clones are of the same request.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the start to end. It returns [`Cancelled`](crate::StartError::Cancelled) once all that
    /// it has started has ended.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
