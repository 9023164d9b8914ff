//! The writer's tasks and their results.

use std::collections::{BTreeMap, BTreeSet};

use crate::chain::Hash;
use crate::envelope::{Envelope, RawEvent};
use crate::group::GroupCommand;
use crate::hlc::Hlc;
use crate::ids::{Dot, Origin};
use crate::names::{GroupName, MessageId, UserId};
use crate::post::{PostCommand, Refusal};
use crate::version_vector::{Range, VersionVector};

/// The head of the log at one of its commits.
#[derive(Clone, Debug)]
pub struct Head {
    /// The origin of own events.
    pub origin: Origin,
    /// The events held.
    pub vector: VersionVector,
    /// The chain hash of each origin at its last event held.
    pub hashes: BTreeMap<Origin, Hash>,
    /// The closed timestamp: every later event of this replica, in any epoch, has a higher reading.
    pub closed_ts: Hlc,
    /// The highest clock reading of any event held.
    pub highest: Hlc,
    /// The number of events held, which is the offset of the last one.
    pub offset: i64,
}

/// A client's command.
#[derive(Clone, Debug)]
pub struct Command {
    /// The group.
    pub group: GroupName,
    /// The action.
    pub action: Action,
    /// A clock reading that the event must lie above: the highest that its author has seen.
    pub above: Option<Hlc>,
}

/// Bytes of a text that cost the log as much as a row.
const TEXT_PER_ROW: usize = 1_024;

impl Command {
    /// The user who gives the command.
    pub fn user(&self) -> &UserId {
        match &self.action {
            Action::Group(command) => &command.user().id,
            Action::Post(_, command) => &command.user().id,
        }
    }

    /// What the command costs the writer, in rows.
    pub(super) fn cost(&self) -> u32 {
        let text = match &self.action {
            Action::Post(_, PostCommand::Post { text, .. }) => text.as_str().len(),
            _ => 0,
        };
        u32::try_from(1 + text / TEXT_PER_ROW).unwrap_or(u32::MAX)
    }
}

/// The aggregate of a command, and the command on it.
#[derive(Clone, Debug)]
pub enum Action {
    /// A command on the group.
    Group(GroupCommand),
    /// A command on a message of the group. The id of a new message is derived from its idempotency
    /// key, if it has one.
    Post(MessageId, PostCommand),
}

/// One piece of a batch.
#[derive(Clone, Debug)]
pub enum Task {
    /// Decide a client's command.
    Submit(Box<Command>),
    /// Store a peer's events whose causal past is held.
    Absorb {
        /// The events, in the order of the peer's log.
        events: Vec<RawEvent>,
        /// Forked origins. Their events in the causal past of an event cannot be received, so they
        /// are not required.
        forked: BTreeSet<Origin>,
    },
    /// Store events under a new stamp, otherwise unchanged.
    Restamp(Vec<Envelope>),
    /// Raise the clock: every later event of this replica has a higher reading.
    Raise(Hlc),
}

impl Task {
    /// Whether the task may yield own events, and so issue a seq.
    pub fn issues_seqs(&self) -> bool {
        match self {
            Self::Submit(_) | Self::Restamp(_) => true,
            Self::Absorb { .. } | Self::Raise(_) => false,
        }
    }
}

/// The result of a task, reported after the commit.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The event; `None` if the message was sent before with the same key.
    Submitted(Result<Option<RawEvent>, Refusal>),
    /// The result for a peer's events.
    Absorbed(Absorbed),
    /// The events are stored under their new stamps.
    Restamped,
    /// The clock is raised.
    Raised,
    /// The origin of own events from now on.
    Renewed(Origin),
}

/// The result of storing a peer's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Absorbed {
    /// Number of events stored, without those already held.
    pub stored: usize,
    /// The missing events without which the rest cannot be stored.
    pub missing: Vec<Range>,
    /// Origins whose events contradict the ones held. None of their events was stored.
    pub forked: Vec<Origin>,
    /// The highest own event among them that is not held. A peer holds own events that this replica
    /// has lost, so its next seq is not safe to issue.
    pub unknown_own: Option<Dot>,
}

impl Absorbed {
    /// Combines this result with that of the following events.
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

/// A row of the log.
#[derive(Clone, Debug)]
pub struct NewRow {
    /// The event.
    pub event: RawEvent,
    /// Its number among the events of its aggregate, in this database.
    pub sequence: i64,
    /// Its offset in this log.
    pub offset: i64,
    /// The digest of its author's idempotency key.
    pub key_digest: Option<[u8; 16]>,
    /// The id of the user whose membership it writes.
    pub member: Option<String>,
}
