//! What handlers share: the parts of a running replica.

use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_domain::envelope::LEVEL;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::ReplicaId;
use causeway_domain::names::{GroupName, Name};
use causeway_domain::post::Refusal;
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::Command;
use causeway_replicator_core::view::Knowledge;
use causeway_store::log::{Done, Log, ReadError, SubmitError};
use causeway_store::timelines::{Behind, Timelines};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::{Config, Limits};
use crate::cursor::{Cursor, CursorError, Cursors, Delivery};
use crate::disk::Disk;
use crate::edge::WallClock;
use crate::feeds::Feeds;
use crate::limits::{Call, UserLimits};
use crate::problem::Problem;
use crate::token::Tokens;
use crate::view::ClusterView;

/// How long a client waits for its write before it is asked to try again. The write goes on.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call waits for what its `at_least` names.
const HOLD_TIMEOUT: Duration = Duration::from_secs(2);

/// A shared handle on the parts of a running replica. Empty while only the document of the API is
/// generated.
#[derive(Clone, Default)]
pub struct Context(Option<Arc<Parts>>);

impl Context {
    /// Shares the parts of a running replica.
    pub fn of(parts: Parts) -> Self {
        Self(Some(Arc::new(parts)))
    }
}

/// What [`Context`] holds.
pub struct Parts {
    /// This replica.
    pub replica: ReplicaId,
    /// Every configured replica, ascending, this one included.
    pub replicas: Vec<ReplicaId>,
    /// The settings.
    pub config: Config,
    /// The log.
    pub log: Log,
    /// The read model.
    pub timelines: Timelines,
    /// The streams.
    pub feeds: Feeds,
    /// What one user may take.
    pub limits: UserLimits,
    /// What is known of the peers, as it changes.
    pub knowledge: watch::Receiver<Arc<Knowledge>>,
    /// The view of the cluster.
    pub view: Arc<ClusterView>,
    /// Makes and checks tokens.
    pub tokens: Tokens,
    /// Makes and reads cursors.
    pub cursors: Cursors,
    /// The wall clock.
    pub wall: WallClock,
    /// The disk of the data folder.
    pub disk: Arc<Disk>,
    /// Returns fresh random bytes.
    pub random: fn() -> [u8; 16],
    /// When this replica started.
    pub started: Instant,
}

impl std::ops::Deref for Context {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        self.0
            .as_deref()
            .expect("handlers are called in a running replica only")
    }
}

impl Parts {
    /// Returns the limits of this replica.
    pub fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// Returns what is known of the peers now.
    pub fn knowledge(&self) -> Arc<Knowledge> {
        self.knowledge.borrow().clone()
    }

    /// Waits until this replica holds and shows everything up to the cursor or mark `at_least`. One
    /// that was signed with a discarded key is ignored.
    pub async fn await_held(&self, at_least: Option<&str>) -> Result<(), Problem> {
        let Some(text) = at_least else { return Ok(()) };
        let Some(cursor) = self.known_cursor("at_least", text)? else {
            return Ok(());
        };
        let wanted = &cursor.delivery.delivered;
        if !self.timelines.checkpoint().vector.covers_all(wanted) {
            Call::end_turn();
        }
        let held = self.timelines.hold(wanted, HOLD_TIMEOUT).await;
        held.map_err(|Behind| Problem::Behind)
    }

    /// As [`Parts::await_held`], then until everything acknowledged at this replica before is shown.
    pub async fn await_shown(&self, at_least: Option<&str>) -> Result<(), Problem> {
        self.await_held(at_least).await?;
        self.timelines
            .catch_up()
            .await
            .map_err(Problem::unavailable)
    }

    /// Returns the highest clock reading in the cursors and marks of what an author had seen.
    pub fn highest_seen<'a>(
        &self,
        texts: impl Iterator<Item = &'a str>,
    ) -> Result<Option<Hlc>, Problem> {
        let mut highest = None;
        for text in texts {
            if let Some(cursor) = self.known_cursor("seen", text)? {
                highest = highest.max(Some(cursor.delivery.highest));
            }
        }
        Ok(highest)
    }

    /// Decodes a mark or a cursor of any group; `None` when it was signed with a discarded key.
    fn known_cursor(&self, field: &str, text: &str) -> Result<Option<Cursor>, Problem> {
        match self.cursors.decode(text) {
            Ok(cursor) => Ok(Some(cursor)),
            Err(CursorError::UnknownKey) => Ok(None),
            Err(refused) => Err(Problem::invalid(field, refused.to_string())),
        }
    }

    /// Returns the text of a cursor of a group.
    pub fn cursor(&self, group: &GroupName, vector: VersionVector, hlc: Hlc) -> String {
        self.cursors.encode(&Cursor {
            group: Some(group.clone()),
            level: LEVEL,
            delivery: up_to(vector, hlc),
        })
    }

    /// Writes a command for a group. Returns its outcome and the mark for the response.
    pub async fn write(
        &self,
        group: &GroupName,
        command: Command,
    ) -> Result<(Done, String), Problem> {
        let submitted = timeout(WRITE_TIMEOUT, self.log.submit(command)).await;
        // The outcome is unknown: the write may still happen.
        let submitted = submitted.unwrap_or(Err(SubmitError::Unavailable));
        let done = submitted.map_err(|failure| write_problem(group, failure))?;
        let (vector, hlc) = match &done.event {
            Some(event) => {
                let stamp = &event.envelope.stamp;
                (stamp.vector(), stamp.hlc)
            }
            None => (done.head.vector.clone(), done.head.highest),
        };
        let mark = self.cursors.encode(&Cursor {
            group: None,
            level: LEVEL,
            delivery: up_to(vector, hlc),
        });
        Ok((done, mark))
    }
}

/// Returns the delivery of everything in a vector, with nothing stale.
fn up_to(delivered: VersionVector, highest: Hlc) -> Delivery {
    Delivery {
        delivered,
        acknowledged: None,
        highest,
    }
}

/// Parses the name of a group in a path.
pub fn group_name(text: &str) -> Result<GroupName, Problem> {
    Name::parse(text).map_err(|refused| Problem::invalid("group", refused.to_string()))
}

/// The problem of an unknown group.
pub fn unknown_group(group: &GroupName) -> Problem {
    Problem::not_found(format!("group `{group}`"))
}

/// The problem of an unknown message.
pub fn unknown_message() -> Problem {
    Problem::not_found("message of this id in this group")
}

/// The problem of a failure of the read model.
pub fn read_problem(failure: ReadError) -> Problem {
    match failure {
        ReadError::Database(failure) => Problem::unavailable(failure),
        corrupt @ ReadError::Corrupt(_) => Problem::internal(corrupt),
        ReadError::Busy => Problem::Busy,
    }
}

fn write_problem(group: &GroupName, failure: SubmitError) -> Problem {
    match failure {
        SubmitError::Refused(refusal) => match refusal {
            Refusal::NoSuchGroup => unknown_group(group),
            Refusal::NotAMember => Problem::NotAMember {
                group: group.to_string(),
            },
            Refusal::NoSuchMessage => unknown_message(),
            Refusal::OwnMessage => Problem::OwnMessage,
            Refusal::NotLiked => Problem::NotLiked,
            Refusal::KeyReused => Problem::KeyReused,
        },
        SubmitError::Busy => Problem::Busy,
        SubmitError::DiskFull => Problem::DiskFull,
        failure @ SubmitError::Unstorable => Problem::internal(failure),
        failure @ (SubmitError::Unavailable | SubmitError::FileStuck) => {
            Problem::unavailable(failure)
        }
    }
}
