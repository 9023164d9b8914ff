//! The calls to one peer: which are under way, and when the next are due.

use std::collections::BTreeSet;

use causeway_domain::ids::Origin;
use causeway_domain::mutant;

/// The digests to one peer.
#[derive(Debug, Default)]
pub(crate) struct DigestCall {
    /// When the one under way was sent.
    pub sent_ms: Option<u64>,
    /// When the next is to be sent.
    pub due_ms: u64,
}

/// The pushes to one peer.
#[derive(Debug, Default)]
pub(crate) struct PushCall {
    pub is_under_way: bool,
    pub(super) is_in_step: bool,
    pub(super) is_stalled: bool,
}

/// The pulls from one peer.
#[derive(Debug, Default)]
pub(crate) struct PullCall {
    pub is_under_way: bool,
    /// When to pull what the peer shows beyond ours.
    pub due_ms: Option<u64>,
    /// Origins that the pull under way does not ask for.
    pub left_out: BTreeSet<Origin>,
    /// When the one under way began.
    pub began_ms: u64,
    pub(super) not_before_ms: u64,
    pub(super) backoff_ms: u64,
}

impl PushCall {
    /// Tells whether the next push waits until the peer speaks: the last one taught it nothing.
    pub(super) fn waits(&self) -> bool {
        mutant!(StalledPushWaits => false);
        self.is_stalled
    }
}
