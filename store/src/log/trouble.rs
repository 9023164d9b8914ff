//! The conditions that stop the writer, for health checks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The writer has no session on the database.
#[derive(Clone, Debug)]
pub struct NoSession {
    /// When the session was lost.
    pub since: Instant,
    /// Why the last attempt to open one failed, in one sentence.
    pub why: String,
}

/// Set by the writer, read by health checks.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    is_file_stuck: AtomicBool,
    is_database_replaced: AtomicBool,
    no_session: Mutex<Option<NoSession>>,
}

impl Trouble {
    /// Records whether the last write of the file beside the database failed.
    pub fn file_is_stuck(&self, is_stuck: bool) {
        self.is_file_stuck.store(is_stuck, Ordering::Relaxed);
    }

    /// Whether the last write of the file beside the database failed.
    pub fn is_file_stuck(&self) -> bool {
        self.is_file_stuck.load(Ordering::Relaxed)
    }

    /// Records that the database is not the one of the start.
    pub fn is_not_ours_any_more(&self) {
        self.is_database_replaced.store(true, Ordering::Relaxed);
    }

    /// Whether the database is not the one of the start.
    pub fn is_database_replaced(&self) -> bool {
        self.is_database_replaced.load(Ordering::Relaxed)
    }

    /// Records and logs why there is no session.
    pub fn has_no_session(&self, why: String) {
        tracing::warn!(%why, "the database cannot be written to");
        self.session(Some(why));
    }

    /// Records why there is no session, or that there is one.
    pub fn session(&self, why_not: Option<String>) {
        let mut recorded = self.recorded();
        let since = recorded.as_ref().map_or_else(Instant::now, |it| it.since);
        *recorded = why_not.map(|why| NoSession { since, why });
    }

    /// Why and since when there is no session; `None` if there is one.
    pub fn no_session(&self) -> Option<NoSession> {
        self.recorded().clone()
    }

    fn recorded(&self) -> std::sync::MutexGuard<'_, Option<NoSession>> {
        self.no_session
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
