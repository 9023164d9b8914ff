//! How often each fault and each interesting state was met: a world in which something never
//! happens proves nothing about it.

use std::fmt;

macro_rules! hits {
    ($($name:ident = $text:literal,)*) => {
        /// Something that must be met now and then.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each has its sentence")]
        pub enum Hit { $($name,)* }

        impl Hit {
            const ALL: &'static [(Self, &'static str)] = &[$((Self::$name, $text),)*];
        }
    };
}

hits! {
    Halves = "the network fell into two halves",
    Isolated = "one replica was cut off",
    Bridge = "one replica was the only bridge",
    Ring = "replicas saw only their neighbours",
    OneWay = "ways worked in one direction only",
    OneLink = "one link was broken",
    Tree = "the end had only a tree of one-way links",
    Lost = "a message of the network was lost",
    Repeated = "a message of the network came twice",
    Stalled = "a message of the network was late by seconds",
    SlowPeer = "one replica was slow for all others",
    CrashIdle = "a crash between two steps",
    CrashReading = "a crash while a batch was read for",
    CrashBeforeCommit = "a crash before a commit was durable",
    CrashAfterCommit = "a crash after a commit, before its answer",
    CrashBeforeFile = "a crash between database and file",
    CrashAfterFile = "a crash after the file, before the answer",
    CrashStarting = "a crash while starting",
    StoppedInOrder = "a stop in order",
    Paused = "a process that stood still for seconds",
    ClockJumped = "a clock jumped",
    ClockYear = "a clock jumped by about a year",
    ClockHeld = "a clock that led too far was not followed",
    Wiped = "a wiped replica",
    Restored = "a restored database",
    RestoredBeneath = "a database exchanged beneath a running process",
    RolledBack = "database and file rolled back together",
    Cloned = "a clone kept running",
    CloneRefused = "a clone was refused",
    NewEpoch = "a start with a new epoch",
    Renewed = "a new epoch because peers knew more",
    Forked = "an origin with two living histories",
    Rescued = "a side that yielded was rescued",
    WrittenAgain = "a rescue wrote something again",
    Destroyed = "an answered event whose only copy was destroyed",
    StatementFailed = "a statement failed",
    AnswerLost = "the answer of a commit was lost",
    CommittedAfterAll = "a batch was found committed after all",
    DatabaseAway = "a database was away for a while",
    GaveUp = "writes were refused because the database was away",
    DiskFull = "a disk was full",
    FileStuck = "a file beside a database could not be written for a while",
    NumbersHeld = "own events waited because of that",
    DecidedAhead = "a batch was decided while the one before it was being committed",
    AheadFell = "what was decided ahead fell",
    SplitBatch = "a batch was split because of one event",
    UnknownType = "an event of an unknown type",
    Unreadable = "an event with unreadable content",
    Unstorable = "an event that one store refuses",
    LeftOut = "all of a push or pull was stored but that event",
    MixedVersions = "replicas without a common version, relayed",
    VersionRefused = "a peer was refused for its version",
    RetriedElsewhere = "a post was sent again at another replica",
    Copied = "a message with two copies",
    Repeat = "a repeat was answered with what was there",
    KeyReused = "a key used for another text was refused",
    ReaderHopped = "a reader came to another replica",
    ReaderAhead = "a reader was given more than a replica holds",
    ReaderMoved = "a reader was told of an earlier copy",
    ReaderRechecked = "a reader was told again what a frame had contradicted",
    ReaderStopped = "a reader broke off between two frames",
    ReaderForgot = "what a reader was given was lost for good, and forgotten",
    ReaderCompared = "a reader who had caught up was compared with its replica",
    ReaderSettled = "a reader was told that a message is settled",
    ReadModelRebuilt = "a read model was folded again from the start",
    Prefetched = "a prefetched batch was used",
    PrefetchedNarrow = "a prefetched batch was used though more origins were asked for by then",
    PrefetchDropped = "a prefetched batch was of no use",
    Early = "events came before their past",
    PushWaited = "a push waited for the past of its events",
    Settled = "something written was settled before the end",
    Presence = "a user came or went",
    GroupCommit = "one commit for several tasks",
    Reserved = "a reservation was moved",
    Raised = "a new origin was lifted above its peers",
}

/// Counts of all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hits([u64; Hit::ALL.len()]);

impl Default for Hits {
    fn default() -> Self {
        Self([0; Hit::ALL.len()])
    }
}

impl Hits {
    /// Counts one.
    pub fn hit(&mut self, what: Hit) {
        self.0[what as usize] += 1;
    }

    /// How often it was met.
    pub fn of(&self, what: Hit) -> u64 {
        self.0[what as usize]
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }

    /// What was never met.
    pub fn never(&self) -> Vec<&'static str> {
        let all = Hit::ALL.iter();
        let never = all.filter(|&&(what, _)| self.of(what) == 0);
        never.map(|&(_, text)| text).collect()
    }
}

impl fmt::Display for Hits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = Hit::ALL.iter();
        all.try_for_each(|&(what, text)| writeln!(f, "{:>12}  {text}", self.of(what)))
    }
}
