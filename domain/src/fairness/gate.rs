//! A gate that lets each user run a number of calls at once; the others wait in turn.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::Contention;

/// The bounds of a gate.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Maximum calls that run at once.
    pub running: usize,
    /// Maximum running calls of one user who is active alone.
    pub alone: usize,
    /// The same while several users are active.
    pub contended: usize,
    /// Maximum calls of one user that wait.
    pub waiting: usize,
}

/// What becomes of a call that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// It runs.
    Running,
    /// It waits until [`Gate::leave`] returns its waiter.
    Waiting,
    /// It is refused: too many calls of its user wait.
    Refused,
}

/// The running and waiting calls. `W` identifies a waiting call.
#[derive(Debug)]
pub struct Gate<U, W> {
    bounds: Bounds,
    running: usize,
    /// The users with running or waiting calls.
    users: BTreeMap<U, Calls<W>>,
    /// The users with waiting calls, in the order of their turns.
    ring: VecDeque<U>,
    contention: Contention<U>,
}

#[derive(Debug)]
struct Calls<W> {
    running: usize,
    waiting: VecDeque<W>,
}

impl<U: Clone + Ord, W> Gate<U, W> {
    /// A gate without calls.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            running: 0,
            users: BTreeMap::new(),
            ring: VecDeque::new(),
            contention: Contention::default(),
        }
    }

    /// Admits a call, or keeps its waiter. Every running call ends with [`Gate::leave`].
    pub fn enter(&mut self, now: Duration, user: &U, waiter: impl FnOnce() -> W) -> Entered {
        self.contention.note(now, user);
        let most = self.most_of_one(now);
        let has_room = self.running < self.bounds.running;
        let calls = self.users.entry(user.clone()).or_insert_with(|| Calls {
            running: 0,
            waiting: VecDeque::new(),
        });
        if has_room && calls.running < most && calls.waiting.is_empty() {
            calls.running += 1;
            self.running += 1;
            return Entered::Running;
        }
        if calls.waiting.len() >= self.bounds.waiting {
            return Entered::Refused;
        }
        if calls.waiting.is_empty() {
            self.ring.push_back(user.clone());
        }
        calls.waiting.push_back(waiter());
        Entered::Waiting
    }

    /// Ends a running call of a user. Returns the waiters of the calls that run now.
    pub fn leave(&mut self, now: Duration, user: &U) -> Vec<W> {
        if let Some(calls) = self.users.get_mut(user) {
            calls.running -= 1;
            self.running -= 1;
            if calls.running == 0 && calls.waiting.is_empty() {
                self.users.remove(user);
            }
        }
        let most = self.most_of_one(now);
        let mut admitted = Vec::new();
        let mut skipped = 0;
        while self.running < self.bounds.running && skipped < self.ring.len() {
            let Some(user) = self.ring.pop_front() else {
                break;
            };
            let calls = self.users.get_mut(&user);
            let calls = calls.expect("a user with waiting calls is known");
            if calls.running >= most {
                skipped += 1;
                self.ring.push_back(user);
                continue;
            }
            skipped = 0;
            admitted.extend(calls.waiting.pop_front());
            calls.running += 1;
            self.running += 1;
            if !calls.waiting.is_empty() {
                self.ring.push_back(user);
            }
        }
        admitted
    }

    /// Whether a running call of a user lets others go first: several users are active, and this one
    /// runs more than one call.
    pub fn is_crowding(&self, now: Duration, user: &U) -> bool {
        let own = self.users.get(user).map_or(0, |calls| calls.running);
        own > 1 && self.contention.is_contended(now)
    }

    /// The number of running calls.
    pub fn running(&self) -> usize {
        self.running
    }

    /// The number of users with running or waiting calls.
    pub fn users(&self) -> usize {
        self.users.len()
    }

    fn most_of_one(&self, now: Duration) -> usize {
        if self.contention.is_contended(now) {
            self.bounds.contended
        } else {
            self.bounds.alone
        }
    }
}
