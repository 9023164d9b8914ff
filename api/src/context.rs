//! What every handler needs: the parts of one running replica.

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
use crate::problem::Problem;
use crate::sight::Sight;
use crate::token::Tokens;

/// How long a write may take before its caller is told to try again. It is not taken back by that.
const WRITE: Duration = Duration::from_secs(10);
/// How long a call waits for what its `at_least` names.
const AT_LEAST: Duration = Duration::from_secs(2);

/// The parts of a running replica, as handlers share them. There are none while only the document
/// of the API is made.
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
    /// What is known of the peers.
    pub knowledge: watch::Receiver<Arc<Knowledge>>,
    /// What the view is made of.
    pub sight: Arc<Sight>,
    /// Makes and checks tokens.
    pub tokens: Tokens,
    /// Makes and reads cursors.
    pub cursors: Cursors,
    /// The wall clock.
    pub wall: WallClock,
    /// The disk of the data folder.
    pub disk: Arc<Disk>,
    /// Fresh random bits.
    pub random: fn() -> [u8; 16],
    /// When this process began to serve.
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
    /// What one replica takes on.
    pub fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// What is known of the peers now.
    pub fn knowledge(&self) -> Arc<Knowledge> {
        self.knowledge.borrow().clone()
    }

    /// Waits until this replica holds and shows what `at_least` names. A cursor whose key is no
    /// longer known is not waited for.
    pub async fn hold(&self, at_least: Option<&str>) -> Result<(), Problem> {
        let Some(text) = at_least else { return Ok(()) };
        let Some(cursor) = self.known_cursor("at_least", text)? else {
            return Ok(());
        };
        let held = self
            .timelines
            .hold(&cursor.delivery.delivered, AT_LEAST)
            .await;
        held.map_err(|Behind| Problem::Behind)
    }

    /// As [`Parts::hold`], and then until everything acknowledged here before is shown.
    pub async fn show(&self, at_least: Option<&str>) -> Result<(), Problem> {
        self.hold(at_least).await?;
        self.timelines
            .catch_up()
            .await
            .map_err(Problem::unavailable)
    }

    /// The highest reading in what an author had seen.
    pub fn seen<'a>(&self, texts: impl Iterator<Item = &'a str>) -> Result<Option<Hlc>, Problem> {
        let mut highest = None;
        for text in texts {
            if let Some(cursor) = self.known_cursor("seen", text)? {
                highest = highest.max(Some(cursor.delivery.highest));
            }
        }
        Ok(highest)
    }

    /// Reads a cursor that may be of any group, or a mark.
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
            delivery: whole(vector, hlc),
        })
    }

    /// Decides and writes a command for a group; returns what came of it and the mark to answer with.
    pub async fn write(
        &self,
        group: &GroupName,
        command: Command,
    ) -> Result<(Done, String), Problem> {
        let submitted = timeout(WRITE, self.log.submit(command)).await;
        // Not to be known in time is not to be refused: the write may still happen.
        let submitted = submitted.unwrap_or(Err(SubmitError::Unavailable));
        let done = submitted.map_err(|failure| refused(group, failure))?;
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
            delivery: whole(vector, hlc),
        });
        Ok((done, mark))
    }
}

/// What a replica shows to everybody: nothing of it is stale.
fn whole(delivered: VersionVector, highest: Hlc) -> Delivery {
    Delivery {
        delivered,
        acknowledged: None,
        highest,
    }
}

/// The name of a group in a path.
pub fn group_name(text: &str) -> Result<GroupName, Problem> {
    Name::parse(text).map_err(|refused| Problem::invalid("group", refused.to_string()))
}

/// An unknown group.
pub fn no_group(group: &GroupName) -> Problem {
    Problem::not_found(format!("group `{group}`"))
}

/// A message that a group does not have.
pub fn no_message() -> Problem {
    Problem::not_found("message of this id in this group")
}

/// The read model's failures as a client is told.
pub fn unread(failure: ReadError) -> Problem {
    match failure {
        ReadError::Database(failure) => Problem::unavailable(failure),
        corrupt @ ReadError::Corrupt(_) => Problem::internal(corrupt),
    }
}

fn refused(group: &GroupName, failure: SubmitError) -> Problem {
    match failure {
        SubmitError::Refused(refusal) => match refusal {
            Refusal::NoSuchGroup => no_group(group),
            Refusal::NotAMember => Problem::NotAMember {
                group: group.to_string(),
            },
            Refusal::NoSuchMessage => no_message(),
            Refusal::OwnMessage => Problem::OwnMessage,
            Refusal::NotLiked => Problem::NotLiked,
            Refusal::KeyReused => Problem::KeyReused,
        },
        SubmitError::Busy => Problem::Busy,
        SubmitError::DiskFull => Problem::DiskFull,
        failure @ SubmitError::Unstorable => Problem::internal(failure),
        failure @ (SubmitError::Unavailable | SubmitError::FileStuck | SubmitError::Conflict) => {
            Problem::unavailable(failure)
        }
    }
}
