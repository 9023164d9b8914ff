//! Large reads, such as pages of history and catch-ups: on connections of their own, and each user
//! in turn, so that one user's reads cost others little.

use causeway_domain::fairness::Bounds;
use causeway_domain::names::UserId;
use sqlx::PgPool;

use crate::log::ReadError;
use crate::turnstile::{Turn, Turnstile};

/// Connections for large reads.
pub(super) const CONNECTIONS: u32 = 4;

/// A connection is free for every running read. While several users read, one has half of them.
const BOUNDS: Bounds = Bounds {
    running: CONNECTIONS as usize,
    alone: CONNECTIONS as usize,
    contended: 2,
    waiting: 1_024,
};

/// The connections for large reads, and the turns to use them. Cheap to clone.
#[derive(Clone)]
pub(super) struct LargeReads {
    pool: PgPool,
    turns: Turnstile<UserId>,
}

impl LargeReads {
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            turns: Turnstile::new(BOUNDS),
        }
    }

    /// Waits for the user's turn, which lasts as long as the returned value.
    pub async fn enter(&self, user: &UserId) -> Result<Turn<UserId>, ReadError> {
        self.turns.enter(user).await.ok_or(ReadError::Busy)
    }

    pub fn pool(&self) -> PgPool {
        self.pool.clone()
    }
}
