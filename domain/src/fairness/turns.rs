//! A queue that serves users in turn: deficit round robin (Shreedhar and Varghese).

use std::collections::{BTreeMap, VecDeque};

/// Waiting items by user. Each user's items stay in order.
#[derive(Debug)]
pub struct Turns<U, T> {
    /// What a user may be served in one turn.
    quantum: u32,
    /// The users with waiting items.
    lanes: BTreeMap<U, Lane<T>>,
    /// The same users, in the order of their turns.
    ring: VecDeque<U>,
    len: usize,
}

#[derive(Debug)]
struct Lane<T> {
    /// Items with their costs.
    items: VecDeque<(u32, T)>,
    /// What the user may still be served. It is kept for an item that costs more than a quantum.
    deficit: u32,
    /// Whether the current turn has begun: a batch may end in the middle of a turn.
    is_in_turn: bool,
}

impl<U: Clone + Ord, T> Turns<U, T> {
    /// An empty queue.
    pub fn new(quantum: u32) -> Self {
        Self {
            quantum: quantum.max(1),
            lanes: BTreeMap::new(),
            ring: VecDeque::new(),
            len: 0,
        }
    }

    /// Appends an item to those of its user.
    pub fn push(&mut self, user: U, cost: u32, item: T) {
        self.len += 1;
        if let Some(lane) = self.lanes.get_mut(&user) {
            lane.items.push_back((cost, item));
            return;
        }
        let lane = Lane {
            items: [(cost, item)].into(),
            deficit: 0,
            is_in_turn: false,
        };
        self.lanes.insert(user.clone(), lane);
        self.ring.push_back(user);
    }

    /// The number of waiting items.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of users with waiting items.
    pub fn users(&self) -> usize {
        self.lanes.len()
    }

    /// Serves items in turn, at most `count`. With `is_one_round` each user has one turn, or as many
    /// as it takes until one item is served.
    pub fn take(&mut self, count: usize, is_one_round: bool, mut serve: impl FnMut(&U, T)) {
        let mut served = 0;
        let mut turns = self.ring.len();
        while served < count {
            if turns == 0 {
                if is_one_round && served > 0 {
                    return;
                }
                turns = self.ring.len();
            }
            let Some(user) = self.ring.pop_front() else {
                return;
            };
            turns -= 1;
            let lane = self.lanes.get_mut(&user).expect("the ring has its users");
            let before = served;
            lane.serve(self.quantum, count, &mut served, |item| serve(&user, item));
            self.len -= served - before;
            if lane.items.is_empty() {
                self.lanes.remove(&user);
            } else if lane.is_in_turn {
                self.ring.push_front(user);
            } else {
                self.ring.push_back(user);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn lanes_and_ring_are_empty(&self) -> bool {
        self.lanes.is_empty() && self.ring.is_empty()
    }

    /// Empties the queue.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + use<U, T> {
        self.ring.clear();
        self.len = 0;
        let lanes = std::mem::take(&mut self.lanes).into_values();
        lanes.flat_map(|lane| lane.items.into_iter().map(|(_, item)| item))
    }
}

impl<T> Lane<T> {
    /// Serves one turn, until `served` is `count`.
    fn serve(&mut self, quantum: u32, count: usize, served: &mut usize, mut serve: impl FnMut(T)) {
        if !self.is_in_turn {
            self.is_in_turn = true;
            self.deficit += quantum;
        }
        while *served < count {
            let deficit = self.deficit;
            let Some((cost, item)) = self.items.pop_front_if(|(cost, _)| *cost <= deficit) else {
                self.is_in_turn = false;
                return;
            };
            self.deficit -= cost;
            *served += 1;
            serve(item);
        }
    }
}
