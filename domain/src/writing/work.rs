//! What is asked of the writer, and what it yields.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::chain::Hash;
use crate::envelope::{Envelope, RawEvent};
use crate::group::GroupCommand;
use crate::hlc::Hlc;
use crate::ids::{Dot, Origin};
use crate::names::{GroupName, MessageId};
use crate::post::{PostCommand, Refusal};
use crate::version_vector::{Range, VersionVector};

/// What the log holds, after one of its commits.
#[derive(Clone, Debug)]
pub struct Head {
    /// Who this replica writes as.
    pub origin: Origin,
    /// What is held.
    pub vector: VersionVector,
    /// The chain of each origin up to its last event held.
    pub hashes: BTreeMap<Origin, Hash>,
    /// Every later event of this replica, of this or a later epoch, has a higher reading.
    pub floor: Hlc,
    /// The highest reading of any event held.
    pub highest: Hlc,
    /// How many events are held: the last one's place in this log.
    pub arrival: i64,
}

/// What a person asks of the log.
#[derive(Clone, Debug)]
pub struct Command {
    /// In which group.
    pub group: GroupName,
    /// What.
    pub action: Action,
    /// A reading that the event must lie above: what its author had seen.
    pub above: Option<Hlc>,
}

/// The aggregate that a command is for, and what is asked of it.
#[derive(Clone, Debug)]
pub enum Action {
    /// The group itself.
    Group(GroupCommand),
    /// A message in it. The id of a new one follows from its key, where it has one.
    Post(MessageId, PostCommand),
}

/// One piece of a batch.
#[derive(Clone, Debug)]
pub enum Task {
    /// Decide what a person asks.
    Submit(Box<Command>),
    /// Take in a peer's events, as far as all in their past is held.
    Absorb {
        /// The events, in the order of the peer's log.
        events: Vec<RawEvent>,
        /// Origins of which the peers hold other events than we do: what lies in the past by their
        /// numbers will not come, so it is not waited for.
        forked: BTreeSet<Origin>,
    },
    /// Stamp events that were decided elsewhere.
    Persist(Vec<Unstamped>),
    /// Stamp events anew that had another stamp; they keep all else.
    Restamp(Vec<Envelope>),
    /// Lift the clock: every later event of this replica lies above this.
    Raise(Hlc),
}

impl Task {
    /// Tells whether events of this replica's own may come of it.
    pub fn gives_numbers(&self) -> bool {
        match self {
            Self::Submit(_) | Self::Persist(_) | Self::Restamp(_) => true,
            Self::Absorb { .. } | Self::Raise(_) => false,
        }
    }
}

/// An event that has no stamp yet.
#[derive(Clone, Debug)]
pub struct Unstamped {
    /// The type of aggregate.
    pub aggregate: String,
    /// Which of them.
    pub id: String,
    /// The sequence it was decided to get.
    pub sequence: i64,
    /// The group whose readers it concerns.
    pub group: Option<String>,
    /// The event's type.
    pub kind: String,
    /// The event itself.
    pub event: Arc<RawValue>,
}

/// An aggregate has changed since it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict;

/// What was decided about one task, to be told after the commit.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The event; nothing where the message had been sent before under its key.
    Submitted(Result<Option<RawEvent>, Refusal>),
    /// What became of a peer's events.
    Absorbed(Absorbed),
    /// Whether the events were stamped.
    Persisted(Result<(), Conflict>),
    /// The clock is lifted.
    Raised,
    /// Who is written as from now on.
    Renewed(Origin),
}

/// What became of a peer's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Absorbed {
    /// How many were stored; those already held are not counted.
    pub stored: usize,
    /// What must be held before the rest can be stored.
    pub missing: Vec<Range>,
    /// Origins whose events contradict the ones held: nothing of these was stored.
    pub forked: Vec<Origin>,
    /// The highest event of the own origin among them that is not held: a peer knows events of
    /// this origin that this replica does not, so its numbers are not safe to give.
    pub unknown_own: Option<Dot>,
}

impl Absorbed {
    /// Combines what became of these events and of those after them.
    #[must_use]
    pub fn and(mut self, later: Self) -> Self {
        self.missing.extend(later.missing);
        self.missing.sort_unstable();
        self.missing.dedup();
        self.forked.extend(later.forked);
        self.forked.sort_unstable();
        self.forked.dedup();
        Self {
            stored: self.stored + later.stored,
            unknown_own: self.unknown_own.max(later.unknown_own),
            ..self
        }
    }
}

/// One event with its places in this database.
#[derive(Clone, Debug)]
pub struct NewRow {
    /// The event.
    pub event: RawEvent,
    /// Its place among the events of its aggregate, here.
    pub sequence: i64,
    /// Its place in this log.
    pub arrival: i64,
    /// What its author's key is looked up by.
    pub key_digest: Option<[u8; 16]>,
    /// Whose membership it is about.
    pub member: Option<String>,
}
