//! The rules whose loss must be noticed. Each can be switched off in the simulator's tests, and
//! nowhere else: without the feature `mutants`, which no program that people run is built with,
//! every rule holds and the question costs nothing.

/// A rule that the design stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// An epoch goes on only when that is proven.
    EpochIsProven,
    /// The file beside the database has a say in it.
    FileIsAsked,
    /// Whoever hears of own events that it does not hold goes on with a new epoch.
    UnknownOwnEventsRenew,
    /// What is held changes with the commit, not before.
    HeldAfterCommit,
    /// Nobody is answered before the commit.
    AnsweredAfterCommit,
    /// The clock takes in every reading that is stored.
    ClockIsMerged,
    /// A start begins above all readings of before.
    ClockIsSeeded,
    /// A cursor is a vector.
    CursorIsVector,
    /// What was delivered is acknowledged entry by entry, not at the end of a catch-up.
    AcknowledgedByEntry,
    /// A recheck is of the object that a frame carries, not of one user's register alone.
    RecheckIsOfTheObject,
    /// A frame says `settled` only of what nothing still to be delivered sorts before.
    SettledForTheReader,
    /// An event is stored after the former one of its origin.
    NextIsAsked,
    /// An event is stored after all in its past.
    PastIsAsked,
    /// A pull is served with the events of all origins.
    AllIsRelayed,
    /// A heartbeat is a comparison.
    DigestCompares,
    /// What is older than the newest heard is ignored.
    OldIsIgnored,
    /// What a peer says it holds replaces what it said before.
    KnownIsReplaced,
    /// No floor lies above the reservation.
    FloorIsReserved,
    /// A floor counts when all that was held with it is here.
    FloorWaitsForVector,
    /// An idempotency key is looked up.
    KeyIsLookedUp,
    /// The chain of an event is checked before it is stored.
    ChainIsChecked,
    /// After a failed statement nothing at hand is believed.
    MemoryIsForgotten,
    /// A new session proves that the database is still the one of before.
    SessionIsProven,
    /// A push that taught a peer nothing waits until it speaks.
    StalledPushWaits,
    /// What was decided ahead falls with the batch before it.
    AheadFalls,
    /// No number is given while the file beside the database cannot be written.
    FileIsAwaited,
    /// A batch asked for ahead shows the order of a log only of the origins it was asked for.
    AheadIsAskedOf,
    /// A batch whose answer was lost is looked for before it is decided again.
    LostAnswerIsSettled,
}

#[cfg(not(feature = "mutants"))]
/// Tells whether a rule holds: always.
#[must_use]
pub const fn holds(_: Rule) -> bool {
    true
}

/// Returns early with a wrong value where a rule is switched off: `mutant!(KeyIsLookedUp => None)`.
/// Stands first in a small function that is named for the decision, so that no production sentence
/// is interrupted; without the feature `mutants` nothing of it is left.
#[macro_export]
macro_rules! mutant {
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

    /// Tells whether a rule holds in this thread.
    pub fn holds(rule: Rule) -> bool {
        BROKEN.get() != Some(rule)
    }

    /// Does something in a world in which a rule does not hold.
    pub fn without<T>(rule: Rule, does: impl FnOnce() -> T) -> T {
        BROKEN.set(Some(rule));
        let done = does();
        BROKEN.set(None);
        done
    }
}
