//! A bounded queue that one user cannot fill.

use std::collections::BTreeMap;

/// How many places a user may hold for each free one. One user alone gets two thirds of the queue,
/// and each further one two thirds of what is left.
const PER_FREE: usize = 2;

/// The places of a queue: the bound of each user falls as the queue fills up (the dynamic threshold
/// of shared-memory switches, Choudhury and Hahne), so some stay free for other users.
#[derive(Debug)]
pub struct Share<U> {
    places: usize,
    held: usize,
    users: BTreeMap<U, usize>,
}

impl<U: Clone + Ord> Share<U> {
    /// A queue with this many places.
    pub fn new(places: usize) -> Self {
        Self {
            places,
            held: 0,
            users: BTreeMap::new(),
        }
    }

    /// Takes a place for a user. Returns whether there was one.
    pub fn admit(&mut self, user: &U) -> bool {
        let own = self.users.get(user).copied().unwrap_or(0);
        let free = self.places.saturating_sub(self.held);
        if own >= free.saturating_mul(PER_FREE) {
            return false;
        }
        self.held += 1;
        self.users.insert(user.clone(), own + 1);
        true
    }

    /// Returns a place of a user.
    pub fn release(&mut self, user: &U) {
        let Some(own) = self.users.get_mut(user) else {
            return;
        };
        *own -= 1;
        self.held -= 1;
        if *own == 0 {
            self.users.remove(user);
        }
    }

    /// The number of users with a place.
    pub fn users(&self) -> usize {
        self.users.len()
    }
}
