//! Coverage counters: how often each fault and each interesting state occurred. A simulation in
//! which a state never occurs proves nothing about it.

use std::fmt;

macro_rules! hits {
    ($($name:ident = $text:literal,)*) => {
        /// A fault or state that must occur in a long enough series of runs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each has its text")]
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
    OneWay = "links worked in one direction only",
    OneLink = "one link was broken",
    Tree = "only a tree of one-way links remained at the end",
    Lost = "a message of the network was lost",
    Repeated = "a message of the network was delivered twice",
    RepeatedRefused = "a repeated call was refused",
    SessionOffered = "a call in no session was refused and made again",
    Stalled = "a message of the network was late by seconds",
    SlowPeer = "one replica was slow for all others",
    CrashIdle = "a crash between two steps",
    CrashReading = "a crash while the facts of a batch were read",
    CrashBeforeCommit = "a crash before a commit was durable",
    CrashAfterCommit = "a crash after a commit, before its answer",
    CrashBeforeFile = "a crash between database and file",
    CrashAfterFile = "a crash after the file, before the answer",
    CrashStarting = "a crash while starting",
    StoppedInOrder = "an orderly stop",
    Paused = "a process was paused for seconds",
    ClockJumped = "a clock jumped",
    ClockYear = "a clock jumped by about a year",
    ClockHeld = "a wall clock too far ahead was not followed",
    Wiped = "a wiped replica",
    Restored = "a restored database",
    RestoredBeneath = "a database exchanged under a running process",
    RolledBack = "database and file rolled back together",
    Cloned = "a clone kept running",
    CloneRefused = "a clone was refused",
    NewEpoch = "a start with a new epoch",
    Renewed = "a new epoch because peers held more own events",
    Forked = "an origin with two histories at the end",
    Rescued = "a yielding side was rescued",
    WrittenAgain = "a rescue wrote something again",
    Destroyed = "an acknowledged event whose only copy was destroyed",
    StatementFailed = "a statement failed",
    AnswerLost = "the answer to a commit was lost",
    CommittedAfterAll = "a batch whose answer was lost was found committed",
    DatabaseAway = "a database was unreachable for a while",
    GaveUp = "writes were refused because the database was unreachable",
    DiskFull = "a disk was full",
    FileStuck = "a file beside a database could not be written for a while",
    NumbersHeld = "own events waited for that file",
    DecidedAhead = "a batch was decided while the one before it was being committed",
    AheadFell = "a batch decided ahead was discarded",
    SplitBatch = "a batch was split because of one event",
    UnknownType = "an event of an unknown type",
    Unreadable = "an event with unreadable content",
    Unstorable = "an event that one store refuses",
    LeftOut = "all of a push or pull but an unstorable event was stored",
    MixedVersions = "replicas without a common version agreed through a relay",
    VersionRefused = "a peer was refused for its version",
    RetriedElsewhere = "a post was sent again at another replica",
    Copied = "a message with two copies",
    Repeat = "a repeated post was answered with the existing message",
    KeyReused = "a key used for another text was refused",
    ReaderHopped = "a reader continued at a replica",
    ReaderAhead = "a reader had received more than its replica holds",
    ReaderMoved = "a reader received an earlier copy of a message",
    ReaderRechecked = "a reader received a frame again after a recheck",
    ReaderStopped = "a reader disconnected between two frames",
    ReaderForgot = "an event that a reader had received was lost for good",
    ReaderCompared = "a caught-up reader was compared with its replica",
    ReaderSettled = "a message was reported as settled to a reader",
    ReadModelRebuilt = "a read model was folded again from the start",
    Prefetched = "a prefetched batch was used",
    PrefetchedNarrow = "a prefetched batch was used though more origins were wanted by then",
    PrefetchDropped = "a prefetched batch was dropped",
    Early = "events arrived before their past",
    PushWaited = "a push waited for the past of its events",
    Settled = "all events were settled at the end",
    Presence = "a user came online or went offline",
    GroupCommit = "one commit for several tasks",
    TookTurns = "a user's command waited for the user's next turn",
    Reserved = "a reservation was renewed",
    Raised = "the clock of a new origin was raised above its peers",
}

/// The count of each [`Hit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hits([u64; Hit::ALL.len()]);

impl Default for Hits {
    fn default() -> Self {
        Self([0; Hit::ALL.len()])
    }
}

impl Hits {
    /// Counts one occurrence.
    pub fn hit(&mut self, what: Hit) {
        self.0[what as usize] += 1;
    }

    /// The count of one hit.
    pub fn of(&self, what: Hit) -> u64 {
        self.0[what as usize]
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }

    /// The texts of the hits with a count of 0.
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
