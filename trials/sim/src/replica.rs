//! One replica: its disk, and the process that runs on it, if any.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use causeway_domain::envelope::RawEvent;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::names::UserId;
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::machine::{Insertion, Machine};
use causeway_domain::writing::{Beginning, Head, Needs, Writing};
use causeway_replicator_core::auth;
use causeway_replicator_core::core::Core;
use causeway_replicator_core::freshness::{Incoming, Outgoing};
use causeway_replicator_core::instance::Instance;
use causeway_replicator_core::presence::Online;
use causeway_replicator_core::wire::Caller;

use crate::disk::{Disk, Durable};

pub(crate) const CLUSTER: &str = "simulated";

/// A replica's address and disk, and its process.
pub(crate) struct Replica {
    pub id: ReplicaId,
    pub disk: Disk,
    /// A copy of the disk, and when it was made.
    pub dump: Option<(u64, Disk)>,
    /// The number of starts; happenings of a former process are ignored.
    pub life: u64,
    pub process: Option<Process>,
    pub paused_until_ms: u64,
    /// Whether it crashes in the middle of its next write.
    pub is_doomed: bool,
    /// The offset of the wall clock.
    pub clock_off_ms: i64,
    pub protocol: [u16; 2],
    pub statements: u64,
    pub away_until_ms: u64,
    pub full_until_ms: u64,
    /// Until when the file beside the database cannot be written.
    pub stuck_until_ms: u64,
    /// The highest own seq when that began.
    pub stuck_at: Option<u64>,
    /// The id whose events the database rejects.
    pub refuses: Option<String>,
    pub slow_ms: u64,
    /// Whether the database was exchanged under the process.
    pub is_exchanged: bool,
    /// The highest closed timestamp ever reported.
    pub promised: Hlc,
    /// The highest settled timestamp ever computed here.
    pub settled: Hlc,
}

/// A running server.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent states of a running server"
)]
pub(crate) struct Process {
    pub instance: Instance,
    pub writer: Writer,
    pub beginning: Beginning,
    pub core: Option<Core>,
    pub is_serving: bool,
    /// Whether there is a session on the database.
    pub has_session: bool,
    /// Whether the database is not the one it started with; it stops writing until a restart.
    pub is_cut_off: bool,
    pub doing: Doing,
    /// The file write in progress. A statement may run beside a write that the writer no longer awaits.
    pub recording: Option<Fate>,
    /// When to wake the writer.
    pub wakes_ms: Option<u64>,
    /// The pending write.
    pub pending: Option<Durable>,
    pub is_folding: bool,
    /// The unanswered pushes by ticket: call and caller.
    pub pushes: BTreeMap<u64, (u64, usize)>,
    pub online: Vec<Online>,
    /// Who is online at peers, folded from what the core said has changed.
    pub sees_online: BTreeSet<(String, UserId)>,
    /// The number of peers whose closed timestamp is awaited at the start.
    pub asked: usize,
    pub asked_floor: Hlc,
    /// The limit of the wall clock, minus the simulated time at which it was set.
    pub ceiling_ms: Option<i64>,
    /// The last known vector of each peer.
    pub known: BTreeMap<ReplicaId, Arc<VersionVector>>,
    /// Judges the calls that come in, once peers are served.
    pub incoming: Option<Incoming>,
    /// Numbers the calls to each peer.
    pub outgoing: BTreeMap<ReplicaId, Outgoing>,
    /// The calls that were served.
    pub served: BTreeSet<(auth::Process, u64)>,
}

/// The one writer of a process.
pub(crate) enum Writer {
    /// Until the identity row and the file are written.
    Starting(Option<Box<Writing>>),
    Running(Box<Machine<Waiter>>),
}

/// The origin of a task, which receives its result.
#[derive(Clone, Debug)]
pub(crate) enum Asker {
    /// A client's request.
    Client(u64),
    /// The core's store request of this number.
    Store(u64),
    /// No receiver.
    Nobody,
}

/// The receiver of an answer of the writer.
#[derive(Debug)]
pub(crate) enum Waiter {
    /// The receiver of a task's result.
    Task(Asker),
    /// A renewal of this origin's epoch.
    Renewal(Origin),
}

/// The outcome of a statement for the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    /// It failed without an effect.
    Failed,
    /// It was carried out, and the answer was lost.
    AnswerLost,
    DiskFull,
    /// The database rejects one of the rows.
    Rejected,
    /// It had no effect, because rows existed whose absence it required.
    NotNew,
}

/// What the writer waits for.
#[derive(Debug)]
pub(crate) enum Doing {
    Nothing,
    /// The identity row of a start.
    Starting,
    Connecting,
    /// The facts that a batch needs.
    Reading(Needs),
    Inserting(Insertion, Fate),
    Reserving(Fate),
    Renewing(Fate),
}

impl Replica {
    pub fn new(id: ReplicaId, server: u64) -> Self {
        Self {
            id,
            disk: Disk::empty(server),
            dump: None,
            life: 0,
            process: None,
            paused_until_ms: 0,
            is_doomed: false,
            clock_off_ms: 0,
            protocol: [1, 1],
            statements: 0,
            away_until_ms: 0,
            full_until_ms: 0,
            stuck_until_ms: 0,
            stuck_at: None,
            refuses: None,
            slow_ms: 0,
            is_exchanged: false,
            promised: Hlc::default(),
            settled: Hlc::default(),
        }
    }

    /// Reads events for a peer: only those that the writer knows to be committed, even if the disk
    /// holds more.
    pub fn read_beyond(&self, held: &VersionVector, limit: usize) -> Vec<RawEvent> {
        let head = self.process.as_ref().map(|process| process.writer.head());
        let known = head.map(|head| head.vector.clone());
        let known = known.unwrap_or_default();
        self.disk.read_beyond(held, &known, limit)
    }

    /// The current origin, if a process runs.
    pub fn origin(&self) -> Option<Origin> {
        Some(self.process.as_ref()?.writer.head().origin)
    }

    /// Whether clients are served.
    pub fn is_serving(&self) -> bool {
        self.process.as_ref().is_some_and(|p| p.is_serving)
    }

    pub fn core(&self) -> Option<&Core> {
        self.process.as_ref()?.core.as_ref()
    }
}

impl Writer {
    /// The head of the log, according to the writer.
    pub fn head(&self) -> &Head {
        match self {
            Self::Starting(writing) => writing.as_ref().expect("it is starting").head(),
            Self::Running(machine) => machine.head(),
        }
    }

    /// The machine, once it runs.
    pub fn machine(&self) -> Option<&Machine<Waiter>> {
        match self {
            Self::Starting(_) => None,
            Self::Running(machine) => Some(machine),
        }
    }

    /// The machine, once it runs.
    pub fn machine_mut(&mut self) -> Option<&mut Machine<Waiter>> {
        match self {
            Self::Starting(_) => None,
            Self::Running(machine) => Some(machine),
        }
    }
}

impl Process {
    pub fn caller(&self, replica: ReplicaId) -> Caller {
        Caller {
            cluster: CLUSTER.into(),
            replica,
            instance: self.instance,
        }
    }
}
