//! The places of commands that wait for their answer, shared among users.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use causeway_domain::fairness::Share;
use causeway_domain::names::UserId;

/// All places. Cheap to clone.
#[derive(Clone)]
pub(super) struct Places(Arc<Mutex<Share<UserId>>>);

/// A place that a command holds; it is free again when this value is dropped.
pub(super) struct Place {
    places: Places,
    user: UserId,
}

impl Places {
    /// Places of which one user alone gets two thirds, `most`.
    pub fn new(most: usize) -> Self {
        let places = most.saturating_add(most / 2);
        Self(Arc::new(Mutex::new(Share::new(places))))
    }

    /// Takes a place for a command of a user, if one is free.
    pub fn take(&self, user: &UserId) -> Option<Place> {
        self.share().admit(user).then(|| Place {
            places: self.clone(),
            user: user.clone(),
        })
    }

    fn share(&self) -> MutexGuard<'_, Share<UserId>> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.share().release(&self.user);
    }
}
