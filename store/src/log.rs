//! The interface of the event log: submit a command, absorb a peer's events, read the events beyond
//! a vector, and subscribe to the commit signal.
//!
//! One task (`writer`) with its own connection does all writes, so that seqs follow the order of
//! commits and a cancelled request leaves no partial write (F5, F13). The event table is the queue:
//! the commit signal carries no events.

mod conditions;
pub(crate) mod connection;
mod cqrs;
mod demand;
mod durability;
mod facts;
mod failure;
mod look;
mod options;
mod places;
mod proof;
pub(crate) mod rows;
mod session;
mod sidecar;
mod survey;
mod tail;
mod trouble;
mod writer;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use causeway_domain::chain::Hash;
use causeway_domain::envelope::{Envelope, RawEvent};
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::Origin;
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::machine::{Backlog, Renewal, Work, chunks};
use causeway_domain::writing::{Absorbed, Beginning, Command, Head, Task};
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use conditions::SharedConditions;
pub use connection::connect_read_only;
pub(crate) use connection::{connect_reader, pool_of, within};
pub use cqrs::{EventRepository, History, OFFSET};
pub use durability::{Unsafe, examine as unsafe_settings};
pub use failure::{OpenError, ReadError, SubmitError};
pub use look::look;
pub use options::{HasRoom, Options, WallClock};
use places::{Place, Places};
pub(crate) use rows::{is_refused_value, read_after};
pub use survey::{Advice, survey};
pub(crate) use tail::{Stored, Tail};
pub use trouble::NoSession;
use trouble::Trouble;
use writer::{Incoming, Writer};

/// How long a start waits for the writer's lock, which another process or the session of a killed
/// predecessor may hold.
pub(crate) const LOCK: Duration = Duration::from_secs(30);
/// Capacity of the channel for work other than commands; a caller with one more entry waits.
const INBOX: usize = 4_096;

/// The answer to a command, sent after the commit of everything it depends on.
#[derive(Clone, Debug)]
pub struct Done {
    /// The event; `None` if the message was already posted under its idempotency key.
    pub event: Option<RawEvent>,
    /// The head of the log at that commit.
    pub head: Arc<Head>,
}

/// The channel for the answer of the writer.
enum Reply {
    /// Keeps its place until it is answered, also after its caller has been cancelled.
    Submit(oneshot::Sender<Result<Done, SubmitError>>, Place),
    Absorb(oneshot::Sender<Result<(Absorbed, Arc<Head>), SubmitError>>),
    Restamp(oneshot::Sender<Result<(), SubmitError>>),
    Raise(oneshot::Sender<Result<(), SubmitError>>),
    Renew(oneshot::Sender<Result<Origin, SubmitError>>),
}

/// A handle on the open log. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    pool: PgPool,
    commands: mpsc::UnboundedSender<Work<Reply>>,
    inbox: mpsc::Sender<Work<Reply>>,
    places: Places,
    head: watch::Receiver<Arc<Head>>,
    tail: Arc<Tail>,
    beginning: Beginning,
    has_room: HasRoom,
    trouble: Arc<Trouble>,
    conditions: Arc<SharedConditions>,
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

    /// Opens it like [`Log::open`], and waits for the writer's lock at most for `patience`.
    pub async fn open_within(
        options: Options,
        patience: Duration,
    ) -> Result<(Self, WriterTask), OpenError> {
        let opened = connection::open(&options, patience).await?;
        let pool = connection::pool(&options.database_url)?;
        let (commands, received) = mpsc::unbounded_channel();
        let (inbox, work) = mpsc::channel(INBOX);
        let incoming = Incoming {
            commands: received,
            inbox: work,
        };
        let places = Places::new(options.max_waiting_writes);
        let beginning = opened.beginning;
        let has_room = options.has_room.clone();
        let unsafe_settings = opened.unsafe_settings.clone().into();
        let tail = Arc::new(Tail::default());
        let (writer, head) = Writer::new(options, opened, tail.clone(), incoming);
        let trouble = writer.trouble();
        let conditions = writer.conditions();
        // Tokio's cooperative budget must not interrupt decisions. It is not needed here: the
        // writer waits for Postgres after each batch.
        let task = tokio::spawn(tokio::task::unconstrained(writer.run()));
        let log = Self {
            pool,
            commands,
            inbox,
            places,
            head,
            tail,
            beginning,
            has_room,
            trouble,
            conditions,
            unsafe_settings,
        };
        Ok((log, task))
    }

    /// The current origin of this replica.
    pub fn origin(&self) -> Origin {
        self.head.borrow().origin
    }

    /// Whether this start continued the previous epoch or drew a new one, and why.
    pub fn beginning(&self) -> Beginning {
        self.beginning
    }

    /// The settings with which this Postgres can lose acknowledged writes: none, unless
    /// [`Options::allow_unsafe_postgres`] accepts them.
    pub fn unsafe_settings(&self) -> &[Unsafe] {
        &self.unsafe_settings
    }

    /// Reads what of this Postgres costs speed or safety, for the operator.
    pub async fn survey(&self) -> sqlx::Result<Vec<Advice>> {
        survey(&mut *self.pool.acquire().await?).await
    }

    /// Whether the last write of the file beside the database failed: commands are refused then.
    pub fn is_file_stuck(&self) -> bool {
        self.trouble.is_file_stuck()
    }

    /// Whether the database was replaced or lost events since the start, as by a restore. The
    /// writer has ended then; the log must be reopened, which begins a new epoch.
    pub fn is_database_replaced(&self) -> bool {
        self.trouble.is_database_replaced()
    }

    /// Why and since when the writer has no session on the database; `None` if it has one.
    pub fn no_session(&self) -> Option<NoSession> {
        self.trouble.no_session()
    }

    /// The commit signal: changes after every commit, and when the closed timestamp rises.
    pub fn commits(&self) -> watch::Receiver<Arc<Head>> {
        self.head.clone()
    }

    /// The current head of the log.
    pub fn head(&self) -> Arc<Head> {
        self.head.borrow().clone()
    }

    /// The connection pool of readers.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Decides and writes one command. Dropping the future does not stop the write.
    pub async fn submit(&self, command: Command) -> Result<Done, SubmitError> {
        self.refuse_without_room()?;
        let place = self.places.take(command.user()).ok_or(SubmitError::Busy)?;
        let (answer, answered) = oneshot::channel();
        let work = Work::Write {
            task: Task::Submit(Box::new(command)),
            reply: Reply::Submit(answer, place),
            sent_at_once: 0,
        };
        let sent = self.commands.send(work);
        sent.map_err(|_| SubmitError::Unavailable)?;
        answered.await.map_err(|_| SubmitError::Unavailable)?
    }

    /// Stores those of a peer's events whose causal past is held, in the given order. Returns the
    /// outcome, and the head of the log at that commit.
    pub async fn absorb(
        &self,
        events: Vec<RawEvent>,
    ) -> Result<(Absorbed, Arc<Head>), SubmitError> {
        self.absorb_beside(events, BTreeSet::new()).await
    }

    /// Stores them like [`Log::absorb`], except that the origins in `forked` do not count in the
    /// causal past of events.
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

    /// How far readers may be behind before clients' writes are slowed down, in milliseconds.
    pub fn max_lag_ms(&self) -> u64 {
        self.conditions.max_lag_ms()
    }

    /// For how long the oldest event waits that the read model does not show, in milliseconds.
    pub fn read_lag_ms(&self) -> u64 {
        self.conditions.read_lag_ms()
    }

    /// Sets how far the readers of own events are behind at the peers that count, in milliseconds.
    pub fn set_peers_lag(&self, ms: u64) {
        self.conditions.set_peers_lag(ms);
    }

    /// What the read model says of its progress.
    pub(crate) fn conditions(&self) -> Arc<SharedConditions> {
        self.conditions.clone()
    }

    /// Sets how fast a backlog is stored while clients write.
    pub fn set_backlog(&self, backlog: Backlog) {
        self.conditions.set_backlog(backlog);
    }

    /// Raises the HLC: every later event of this replica is above `seen`.
    pub async fn raise(&self, seen: Hlc) -> Result<(), SubmitError> {
        let (answer, answered) = oneshot::channel();
        self.write(Task::Raise(seen), Reply::Raise(answer)).await?;
        answered.await.map_err(|_| SubmitError::Unavailable)?
    }

    /// Draws a new epoch, because peers hold events of `former` that are not held here, so its seqs
    /// may be taken. Returns the origin from now on. Changes nothing if `former` is no longer the
    /// origin of this replica.
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

    /// Writes events again with new stamps.
    pub(crate) async fn restamp(&self, envelopes: Vec<Envelope>) -> Result<(), SubmitError> {
        if envelopes.is_empty() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        self.write(Task::Restamp(envelopes), Reply::Restamp(answer))
            .await?;
        answered.await.map_err(|_| SubmitError::Unavailable)?
    }

    /// Refuses writes while Postgres still has room to work: on a full disk it stops (F31).
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

    /// Reads the events beyond a vector, of all origins, in the order of this log: at most `limit`
    /// events, and at most `max_bytes` unless the first alone is larger.
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

    /// Reads at most `limit` events of the log above an offset.
    pub async fn read_after(
        &self,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<(i64, RawEvent)>, ReadError> {
        let stored = rows::read_after(&self.pool, offset, limit).await?;
        let stored_rows = stored.into_iter();
        Ok(stored_rows.map(|row| (row.offset, row.event)).collect())
    }

    /// The cache of the newest events, for the read model.
    pub(crate) fn tail(&self) -> Arc<Tail> {
        self.tail.clone()
    }

    /// Returns the chain hash at an event; `None` if the event is not held.
    pub async fn hash_at(&self, origin: Origin, seq: u64) -> Result<Option<Hash>, ReadError> {
        Ok(rows::hash_at(&self.pool, origin, seq).await?)
    }
}
