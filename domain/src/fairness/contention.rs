//! Whether several users are active.

use std::time::Duration;

/// How long a user counts as active after each item or call.
const ACTIVE: Duration = Duration::from_secs(1);

/// The last activity of two users, which tells each user whether another one is active.
#[derive(Debug)]
pub struct Contention<U> {
    /// The user who was active last, and when.
    latest: Option<(U, Duration)>,
    /// When any other user was active last.
    other_at: Option<Duration>,
}

impl<U> Default for Contention<U> {
    fn default() -> Self {
        Self {
            latest: None,
            other_at: None,
        }
    }
}

impl<U: Clone + Eq> Contention<U> {
    /// Notes that a user is active.
    pub fn note(&mut self, now: Duration, user: &U) {
        match &mut self.latest {
            Some((latest, at)) if latest == user => *at = now,
            latest => {
                self.other_at = latest.take().map(|(_, at)| at);
                *latest = Some((user.clone(), now));
            }
        }
    }

    /// Whether at least two users are active.
    pub fn is_contended(&self, now: Duration) -> bool {
        self.other_at.is_some_and(|at| now < at + ACTIVE)
    }
}
