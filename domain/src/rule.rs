//! The rules whose violation the simulator must detect. Each can be switched off in the simulator's
//! tests only. Without the feature `mutants`, which no released program enables, every rule holds
//! and the check compiles to nothing.

/// A rule on which the design depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// An epoch is continued only if its continuity is proven.
    EpochIsProven,
    /// The proof includes the file beside the database.
    FileIsAsked,
    /// A replica that learns of own events which it does not hold draws a new epoch.
    UnknownOwnEventsRenew,
    /// The vector changes with the commit, not before.
    HeldAfterCommit,
    /// No command is answered before the commit.
    AnsweredAfterCommit,
    /// Every stored reading is merged into the clock.
    ClockIsMerged,
    /// A start seeds the clock above all earlier readings.
    ClockIsSeeded,
    /// A cursor is a vector.
    CursorIsVector,
    /// Delivered events are acknowledged entry by entry, not at the end of a catch-up.
    AcknowledgedByEntry,
    /// A recheck covers the whole object that a frame shows, not only one user's register.
    RecheckIsOfTheObject,
    /// A frame says `settled` only if no undelivered event sorts before its message.
    SettledForTheReader,
    /// An event is stored only after its predecessor of the same origin.
    NextIsAsked,
    /// An event is stored only after its causal past.
    PastIsAsked,
    /// A pull is answered with the events of all origins.
    AllIsRelayed,
    /// A heartbeat compares vectors.
    DigestCompares,
    /// A digest older than the newest received one is ignored.
    OldIsIgnored,
    /// A peer's digest replaces what was known of the peer.
    KnownIsReplaced,
    /// No closed timestamp lies above the reservation.
    ClosedTsIsReserved,
    /// A peer's closed timestamp counts once every event in its vector is held.
    ClosedTsWaitsForVector,
    /// An idempotency key is looked up.
    KeyIsLookedUp,
    /// The chain of an event is checked before it is stored.
    ChainIsChecked,
    /// A failed statement invalidates the head and all caches.
    MemoryIsForgotten,
    /// A new session proves that the database is still the same.
    SessionIsProven,
    /// After a push that taught a peer nothing, the next one waits for the peer's digest.
    StalledPushWaits,
    /// A batch decided in advance is discarded if the batch before it fails.
    PipelinedFalls,
    /// No seq is issued while the file beside the database cannot be written.
    FileIsAwaited,
    /// A prefetched batch shows the log order only of the origins it was requested for.
    PrefetchShowsItsOrigins,
    /// A batch whose commit was not confirmed is looked up before it is decided again.
    LostAnswerIsSettled,
    /// A call between replicas is served once.
    RepeatedIsRefused,
}

#[cfg(not(feature = "mutants"))]
/// Whether a rule holds: always.
#[must_use]
pub const fn holds(_: Rule) -> bool {
    true
}

/// Returns early with a wrong value if a rule is switched off: `mutant!(KeyIsLookedUp => None)`. It
/// belongs at the start of a small function that is named for the decision, so that it does not
/// interrupt production code. Without the feature `mutants` it compiles to nothing.
#[macro_export]
macro_rules! mutant {
    ($rule:ident) => {
        if !$crate::rule::holds($crate::rule::Rule::$rule) {
            return;
        }
    };
    ($rule:ident => $wrong:expr) => {
        if !$crate::rule::holds($crate::rule::Rule::$rule) {
            return $wrong;
        }
    };
}

#[cfg(feature = "mutants")]
pub use switchable::{holds, without};

#[cfg(feature = "mutants")]
mod switchable {
    use std::cell::Cell;

    use super::Rule;

    thread_local! {
        static BROKEN: Cell<Option<Rule>> = const { Cell::new(None) };
    }

    /// Whether a rule holds in this thread.
    pub fn holds(rule: Rule) -> bool {
        BROKEN.get() != Some(rule)
    }

    /// Runs a closure with a rule switched off in this thread.
    pub fn without<T>(rule: Rule, does: impl FnOnce() -> T) -> T {
        BROKEN.set(Some(rule));
        let done = does();
        BROKEN.set(None);
        done
    }
}
