//! What keeps the writer from writing, for whoever asks whether a replica is well.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The writer has no session on the database.
#[derive(Clone, Debug)]
pub struct NoSession {
    /// Since when.
    pub since: Instant,
    /// Why the last attempt to get one failed, in one sentence.
    pub why: String,
}

/// The writer says it, others read it.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    is_file_stuck: AtomicBool,
    is_not_ours: AtomicBool,
    no_session: Mutex<Option<NoSession>>,
}

impl Trouble {
    /// Notes whether the file beside the database can be written.
    pub fn file_is_stuck(&self, is_stuck: bool) {
        self.is_file_stuck.store(is_stuck, Ordering::Relaxed);
    }

    /// Whether the file beside the database could not be written the last time.
    pub fn is_file_stuck(&self) -> bool {
        self.is_file_stuck.load(Ordering::Relaxed)
    }

    /// Notes that the database is another one than at the start.
    pub fn is_not_ours_any_more(&self) {
        self.is_not_ours.store(true, Ordering::Relaxed);
    }

    /// Whether the database is another one than at the start.
    pub fn is_not_ours(&self) -> bool {
        self.is_not_ours.load(Ordering::Relaxed)
    }

    /// Notes and logs why there is no session.
    pub fn has_no_session(&self, why: String) {
        tracing::warn!(%why, "the database cannot be written to");
        self.session(Some(why));
    }

    /// Notes why there is no session, or that there is one.
    pub fn session(&self, why_not: Option<String>) {
        let mut noted = self.noted();
        let since = noted.as_ref().map_or_else(Instant::now, |it| it.since);
        *noted = why_not.map(|why| NoSession { since, why });
    }

    /// Whether there is no session, and why.
    pub fn no_session(&self) -> Option<NoSession> {
        self.noted().clone()
    }

    fn noted(&self) -> std::sync::MutexGuard<'_, Option<NoSession>> {
        self.no_session
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
