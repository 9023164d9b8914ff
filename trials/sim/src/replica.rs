//! One replica: its disk, and the process that runs on it, if one does.

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_domain::envelope::RawEvent;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::machine::{Insertion, Machine};
use causeway_domain::writing::{Beginning, Head, Needs, Writing};
use causeway_replicator_core::core::Core;
use causeway_replicator_core::instance::Instance;
use causeway_replicator_core::presence::Online;
use causeway_replicator_core::wire::Caller;

use crate::disk::{Disk, Durable};

pub(crate) const CLUSTER: &str = "simulated";

/// A place at which a replica runs: its address, its disk.
pub(crate) struct Replica {
    pub id: ReplicaId,
    pub disk: Disk,
    /// A copy of the disk, and when it was made.
    pub dump: Option<(u64, Disk)>,
    /// Counts starts: what a former process had under way means nothing to its successor.
    pub life: u64,
    pub process: Option<Process>,
    pub paused_until_ms: u64,
    /// It crashes in the middle of the next thing that it writes.
    pub is_doomed: bool,
    /// How far the wall clock is off.
    pub clock_off_ms: i64,
    pub protocol: [u16; 2],
    pub statements: u64,
    pub away_until_ms: u64,
    pub full_until_ms: u64,
    /// The file beside the database cannot be written until then.
    pub stuck_until_ms: u64,
    /// The highest own number when that began.
    pub stuck_at: Option<u64>,
    /// The store takes no event about this.
    pub refuses: Option<String>,
    pub slow_ms: u64,
    /// The database was exchanged beneath the process.
    pub is_exchanged: bool,
    /// The highest floor that was ever told.
    pub promised: Hlc,
    /// The highest floor of all that was ever believed here.
    pub settled: Hlc,
}

/// A running server.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says one thing of a running server"
)]
pub(crate) struct Process {
    pub instance: Instance,
    pub writer: Writer,
    pub beginning: Beginning,
    pub core: Option<Core>,
    pub is_serving: bool,
    /// Statements reach the database.
    pub has_session: bool,
    /// The database is not the one it began with: it writes no more until it is started again.
    pub is_cut_off: bool,
    pub doing: Doing,
    /// When the writer is to be woken.
    pub wakes_ms: Option<u64>,
    /// What is on its way to the disk.
    pub pending: Option<Durable>,
    pub is_folding: bool,
    /// The calls that brought the pushes which are not answered, and their callers, by ticket.
    pub pushes: BTreeMap<u64, (u64, usize)>,
    pub online: Vec<Online>,
    /// Peers whose floor was asked for at the start and has not come.
    pub asked: usize,
    pub asked_floor: Hlc,
    /// How far the wall clock may lead, less the time that has passed.
    pub ceiling_ms: Option<i64>,
    /// What each peer was last known to hold.
    pub known: BTreeMap<ReplicaId, Arc<VersionVector>>,
}

/// The one writer of a process.
pub(crate) enum Writer {
    /// Before the identity row and the file are written.
    Starting(Option<Box<Writing>>),
    Running(Box<Machine<Waiter>>),
}

/// Who waits for what becomes of a task.
#[derive(Clone, Debug)]
pub(crate) enum Asker {
    /// A client's request.
    Client(u64),
    /// The core, which knows the events by this number.
    Store(u64),
    /// Nobody.
    Nobody,
}

/// Who waits for the writer.
#[derive(Debug)]
pub(crate) enum Waiter {
    /// For what becomes of a task.
    Task(Asker),
    /// For a new epoch in place of this origin's.
    Renewal(Origin),
}

/// How a statement ends for the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    /// It failed and did nothing.
    Failed,
    /// It was done, and the answer was lost.
    AnswerLost,
    DiskFull,
    /// The database does not take one of the rows.
    Rejected,
    /// It did nothing, as something was there that it was to go without.
    NotNew,
}

/// What the writer waits for.
#[derive(Debug)]
pub(crate) enum Doing {
    Nothing,
    /// The identity row of a start.
    Starting,
    Connecting,
    /// What a batch is decided on.
    Reading(Needs),
    Inserting(Insertion, Fate),
    Reserving(Fate),
    Renewing(Fate),
    /// The file beside the database.
    Recording(Fate),
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

    /// Reads what is given to a peer: nothing that the writer does not know to be committed, though
    /// it may be on the disk.
    pub fn read_beyond(&self, held: &VersionVector, limit: usize) -> Vec<RawEvent> {
        let head = self.process.as_ref().map(|process| process.writer.head());
        let known = head.map(|head| head.vector.clone());
        let known = known.unwrap_or_default();
        self.disk.read_beyond(held, &known, limit)
    }

    /// Who is written as, where a process runs.
    pub fn origin(&self) -> Option<Origin> {
        Some(self.process.as_ref()?.writer.head().origin)
    }

    /// Clients are served here.
    pub fn is_serving(&self) -> bool {
        self.process.as_ref().is_some_and(|p| p.is_serving)
    }

    pub fn core(&self) -> Option<&Core> {
        self.process.as_ref()?.core.as_ref()
    }
}

impl Writer {
    /// What is held, as the writer says.
    pub fn head(&self) -> &Head {
        match self {
            Self::Starting(writing) => writing.as_ref().expect("it has not begun").head(),
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
