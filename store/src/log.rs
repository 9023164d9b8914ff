//! The event log as others see it: submit a command, absorb a peer's events, read what lies beyond
//! a vector, and hear the bell when something was committed.
//!
//! Everything that is written goes through one task (`writer`) on a connection of its own, so that
//! numbers are given in the order of commits and no cancelled request leaves anything half done
//! (F5, F13). The event table is the queue: the bell carries no events.

pub(crate) mod connection;
mod cqrs;
mod durability;
mod facts;
mod failure;
mod look;
mod proof;
pub(crate) mod rows;
mod sidecar;
mod tail;
mod trouble;
mod writer;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use causeway_domain::chain::Hash;
use causeway_domain::envelope::{Envelope, RawEvent};
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::machine::{Renewal, Work, chunks};
use causeway_domain::writing::{Absorbed, Beginning, Command, Head, Task};
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

pub(crate) use connection::{connect_reader, options, shared, within};
pub use cqrs::{EventRepository, History, OFFSET};
pub use durability::{Unsafe, examine as unsafe_settings};
pub use failure::{OpenError, ReadError, SubmitError};
pub use look::look;
pub(crate) use rows::{is_refused_value, read_after};
pub(crate) use tail::{Stored, Tail};
pub use trouble::NoSession;
use trouble::Trouble;

/// Reads the wall clock: milliseconds since 1970. Handed in, so that tests can set it.
pub type WallClock = Arc<dyn Fn() -> u64 + Send + Sync>;
/// Tells whether there is room on the disk for more. Asked before each write, so it must be cheap.
pub type HasRoom = Arc<dyn Fn() -> bool + Send + Sync>;

/// How long a start waits for another process to give the database up (also for the session of a
/// killed predecessor to end).
pub(crate) const LOCK: Duration = Duration::from_secs(30);
/// Most commands and batches on their way to the writer; whoever brings one more waits.
const INBOX: usize = 4_096;

/// What the log needs to know to open.
#[derive(Clone)]
pub struct Options {
    /// Which replica this is.
    pub replica: ReplicaId,
    /// The cluster's name: a database of another one is refused.
    pub cluster: String,
    /// Where to find Postgres.
    pub database_url: String,
    /// The folder for the file that stands beside the database and proves its continuity.
    pub data_dir: PathBuf,
    /// The wall clock: what people are shown.
    pub wall: WallClock,
    /// The clock that this replica's events follow: the wall, as far as it is let lead (F15).
    pub order: WallClock,
    /// 32 fresh random bits, used when a new epoch must be drawn.
    pub fresh_epoch: u32,
    /// Most commands that wait for their answer; one more is `Busy`. Peers' events are not counted.
    pub max_waiting_writes: usize,
    /// Accept a Postgres that can lose acknowledged writes (F29).
    pub allow_unsafe_postgres: bool,
    /// Says no before the disk is full: nothing more is taken in then (F31).
    pub has_room: HasRoom,
}

/// The answer to a command, sent after the commit of all it was decided on.
#[derive(Clone, Debug)]
pub struct Done {
    /// The event, or nothing when the message had been posted before under its key.
    pub event: Option<RawEvent>,
    /// The log at that commit.
    pub head: Arc<Head>,
}

/// Who waits for the writer.
enum Reply {
    /// Keeps its place among those who wait until it is answered, also when nobody listens any more.
    Submit(
        oneshot::Sender<Result<Done, SubmitError>>,
        OwnedSemaphorePermit,
    ),
    Absorb(oneshot::Sender<Result<(Absorbed, Arc<Head>), SubmitError>>),
    Persist(oneshot::Sender<Result<(), SubmitError>>),
    Raise(oneshot::Sender<Result<(), SubmitError>>),
    Renew(oneshot::Sender<Result<Origin, SubmitError>>),
}

/// A handle on the open log. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    pool: PgPool,
    inbox: mpsc::Sender<Work<Reply>>,
    places: Arc<Semaphore>,
    head: watch::Receiver<Arc<Head>>,
    tail: Arc<Tail>,
    beginning: Beginning,
    has_room: HasRoom,
    trouble: Arc<Trouble>,
    unsafe_settings: Arc<[Unsafe]>,
}

/// The writer's task: wait for it after the last [`Log`] is dropped.
pub type WriterTask = tokio::task::JoinHandle<()>;

impl Log {
    /// Opens the log of a database: takes its lock, brings the schema up to date, proves or
    /// renews its identity, and starts the writer.
    pub async fn open(options: Options) -> Result<(Self, WriterTask), OpenError> {
        Self::open_within(options, LOCK).await
    }

    /// Opens it like [`Log::open`], waiting only so long for another process to give it up.
    pub async fn open_within(
        options: Options,
        patience: Duration,
    ) -> Result<(Self, WriterTask), OpenError> {
        let opened = connection::open(&options, patience).await?;
        let pool = connection::pool(&options.database_url)?;
        let (inbox, work) = mpsc::channel(INBOX);
        let most = options.max_waiting_writes.min(Semaphore::MAX_PERMITS);
        let beginning = opened.beginning;
        let has_room = options.has_room.clone();
        let unsafe_settings = opened.unsafe_settings.clone().into();
        let tail = Arc::new(Tail::default());
        let (writer, head) = writer::Writer::new(options, opened, tail.clone(), work);
        let trouble = writer.trouble();
        // Decisions must not be made to pause by tokio's budget for tasks. It is not needed here: the
        // writer waits for Postgres after each batch.
        let task = tokio::spawn(tokio::task::unconstrained(writer.run()));
        let log = Self {
            pool,
            inbox,
            places: Arc::new(Semaphore::new(most)),
            head,
            tail,
            beginning,
            has_room,
            trouble,
            unsafe_settings,
        };
        Ok((log, task))
    }

    /// Who this replica writes as now.
    pub fn origin(&self) -> Origin {
        self.head.borrow().origin
    }

    /// Whether this start continued the former epoch or drew a new one, and why.
    pub fn beginning(&self) -> Beginning {
        self.beginning
    }

    /// Settings with which this Postgres can lose what it has acknowledged: none, unless these were
    /// accepted in [`Options::allow_unsafe_postgres`].
    pub fn unsafe_settings(&self) -> &[Unsafe] {
        &self.unsafe_settings
    }

    /// Whether the file beside the database could not be written the last time: commands are refused then.
    pub fn is_file_stuck(&self) -> bool {
        self.trouble.is_file_stuck()
    }

    /// Whether the database turned out to be another one than at the start, or to have lost something:
    /// somebody restored it. The writer has ended then, and the log is to be opened anew, which begins
    /// a new epoch.
    pub fn is_not_ours(&self) -> bool {
        self.trouble.is_not_ours()
    }

    /// Whether nothing can be written because the writer has no session on the database.
    pub fn no_session(&self) -> Option<NoSession> {
        self.trouble.no_session()
    }

    /// The bell: rings after every commit, and when the floor has risen.
    pub fn bell(&self) -> watch::Receiver<Arc<Head>> {
        self.head.clone()
    }

    /// What is held now.
    pub fn head(&self) -> Arc<Head> {
        self.head.borrow().clone()
    }

    /// The connections that readers share.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Decides and writes one command. Whoever stops waiting does not stop the write.
    pub async fn submit(&self, command: Command) -> Result<Done, SubmitError> {
        self.refuse_without_room()?;
        let place = self.places.clone().try_acquire_owned();
        let place = place.map_err(|_| SubmitError::Busy)?;
        let (answer, answered) = oneshot::channel();
        let task = Task::Submit(Box::new(command));
        self.write(task, Reply::Submit(answer, place)).await?;
        answered.await.map_err(|_| SubmitError::Unavailable)?
    }

    /// Stores a peer's events, in the given order, as far as all in their past is held. Returns what
    /// became of them, and the log at that commit.
    pub async fn absorb(
        &self,
        events: Vec<RawEvent>,
    ) -> Result<(Absorbed, Arc<Head>), SubmitError> {
        self.absorb_beside(events, BTreeSet::new()).await
    }

    /// Stores them like [`Log::absorb`] beside origins of which the peers hold other events than
    /// this log: what the past names of these is not waited for.
    pub async fn absorb_beside(
        &self,
        events: Vec<RawEvent>,
        forked: BTreeSet<Origin>,
    ) -> Result<(Absorbed, Arc<Head>), SubmitError> {
        self.refuse_without_room()?;
        let mut waiting = Vec::new();
        let sent_at_once = events.len();
        for events in chunks(events) {
            let (answer, answered) = oneshot::channel();
            let forked = forked.clone();
            let work = Work::Write {
                task: Task::Absorb { events, forked },
                reply: Reply::Absorb(answer),
                sent_at_once,
            };
            self.send(work).await?;
            waiting.push(answered);
        }
        let mut whole: Option<(Absorbed, Arc<Head>)> = None;
        for answered in waiting {
            let (chunk, head) = answered.await.map_err(|_| SubmitError::Unavailable)??;
            let absorbed = match whole {
                Some((before, _)) => before.and(chunk),
                None => chunk,
            };
            whole = Some((absorbed, head));
        }
        whole.ok_or(SubmitError::Unavailable)
    }

    /// Lifts the clock: every later event of this replica lies above `seen`.
    pub async fn raise(&self, seen: Hlc) -> Result<(), SubmitError> {
        let (answer, answered) = oneshot::channel();
        self.write(Task::Raise(seen), Reply::Raise(answer)).await?;
        answered.await.map_err(|_| SubmitError::Unavailable)?
    }

    /// Draws a new epoch, because peers know events of `former` that are not held here: its numbers
    /// are no longer safe to give. Returns who is written as from now on. Changes nothing when
    /// `former` is not written as any more.
    pub async fn renew(&self, former: Origin, fresh_epoch: u32) -> Result<Origin, SubmitError> {
        let (answer, answered) = oneshot::channel();
        let renewal = Renewal {
            former,
            fresh_epoch,
            reply: Reply::Renew(answer),
        };
        self.send(Work::Renew(renewal)).await?;
        answered.await.map_err(|_| SubmitError::Unavailable)?
    }

    /// Stamps events anew that had another stamp.
    pub(crate) async fn restamp(&self, envelopes: Vec<Envelope>) -> Result<(), SubmitError> {
        if envelopes.is_empty() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        self.write(Task::Restamp(envelopes), Reply::Persist(answer))
            .await?;
        answered.await.map_err(|_| SubmitError::Unavailable)?
    }

    /// Turns writes away while Postgres still has room to work: full, it stops altogether (F31).
    fn refuse_without_room(&self) -> Result<(), SubmitError> {
        if (self.has_room)() {
            Ok(())
        } else {
            Err(SubmitError::DiskFull)
        }
    }

    async fn write(&self, task: Task, reply: Reply) -> Result<(), SubmitError> {
        let work = Work::Write {
            task,
            reply,
            sent_at_once: 0,
        };
        self.send(work).await
    }

    async fn send(&self, work: Work<Reply>) -> Result<(), SubmitError> {
        self.inbox
            .send(work)
            .await
            .map_err(|_| SubmitError::Unavailable)
    }

    /// Reads what is held beyond a vector, of all origins, in the order of this log: at most
    /// `limit` events, and no more than `max_bytes` of them beyond the first.
    pub async fn read_beyond(
        &self,
        held: &VersionVector,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<RawEvent>, ReadError> {
        let missing = self.head().vector.beyond(held);
        if let Some(events) = self.tail.ranges(&missing, limit, max_bytes) {
            return Ok(events);
        }
        rows::read_ranges(&self.pool, &missing, limit, max_bytes).await
    }

    /// Reads the log's rows after a place in it: at most `limit` events.
    pub async fn read_after(
        &self,
        arrival: i64,
        limit: i64,
    ) -> Result<Vec<(i64, RawEvent)>, ReadError> {
        let stored = rows::read_after(&self.pool, arrival, limit).await?;
        let placed = stored.into_iter();
        Ok(placed.map(|row| (row.arrival, row.event)).collect())
    }

    /// The newest events, for whoever follows the log closely.
    pub(crate) fn tail(&self) -> Arc<Tail> {
        self.tail.clone()
    }

    /// Returns the chain up to one event, or nothing where the event is not held.
    pub async fn hash_at(&self, origin: Origin, seq: u64) -> Result<Option<Hash>, ReadError> {
        Ok(rows::hash_at(&self.pool, origin, seq).await?)
    }
}
