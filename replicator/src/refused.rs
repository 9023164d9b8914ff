//! How many calls were refused for what their heads said, for operators and for tests.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a call was refused before anything of its body was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Not signed with a key of this cluster, or signed as another version does.
    Unauthenticated,
    /// It was made before.
    Repeated,
    /// It names no session of this process. Usual once after a start.
    UnknownSession,
    /// The connection's certificate is not the caller's.
    WrongCertificate,
}

impl Reason {
    /// Every reason there is.
    pub const ALL: [Self; 4] = [
        Self::Unauthenticated,
        Self::Repeated,
        Self::UnknownSession,
        Self::WrongCertificate,
    ];

    /// What machines call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Repeated => "repeated",
            Self::UnknownSession => "unknown_session",
            Self::WrongCertificate => "wrong_certificate",
        }
    }
}

/// The counters.
#[derive(Debug, Default)]
pub struct Refused([AtomicU64; Reason::ALL.len()]);

impl Refused {
    /// Returns how often there was this reason since the start.
    pub fn count(&self, reason: Reason) -> u64 {
        self.0[reason as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, reason: Reason) {
        self.0[reason as usize].fetch_add(1, Ordering::Relaxed);
    }
}
