//! The one writer: all that waits, one transaction, then the answers.

mod promises;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::hlc::{Clock, Hlc};
use crate::ids::Origin;

use super::batch::{Batch, Hot, Verdict};
use super::connection::{self, Opened};
use super::hot::{Groups, Posts};
use super::rows::{self, NewRow};
use super::sidecar::{Record, Sidecar};
use super::{Absorbed, Done, Head, Options, SubmitError, Work, identity};

/// Most pieces of work in one transaction.
const BATCH: usize = 512;
/// How long a statement of the writer may take before the connection is given up.
const STATEMENT: Duration = Duration::from_secs(10);
/// How long a batch waits for the database to come back before it is answered `Unavailable`.
const PATIENCE: Duration = Duration::from_secs(3);
/// At most once in this time the file beside the database is written before batches are answered.
/// Under a load the file lags by as much, far less than any dump of the database takes.
const RECORD_EVERY: Duration = Duration::from_millis(20);
/// How often an idle writer raises the floor.
const IDLE_TICK: Duration = Duration::from_millis(500);
/// How often a batch whose commit failed is decided again.
const ATTEMPTS: u32 = 3;
/// Users of groups, and posts with those who like them, at hand.
const HOT_MEMBERS: usize = 100_000;
const HOT_POSTS: usize = 8_192;

pub(super) struct Writer {
    options: Options,
    connection: Option<PgConnection>,
    origin: Origin,
    head: Head,
    clock: Clock,
    reserved: Hlc,
    hot: Hot,
    sidecar: Sidecar,
    recorded: Option<Record>,
    recorded_at: Option<Instant>,
    server: identity::Server,
    publish: watch::Sender<Arc<Head>>,
}

/// Why a batch was not committed.
enum Failed {
    /// The connection or Postgres: decide again on a fresh connection.
    Lost,
    /// Postgres says its disk is full.
    DiskFull,
    /// Postgres does not take one of the rows.
    Rejected,
}

/// Why there is no connection to write on.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    NotOpened(#[from] super::OpenError),
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// Somebody restored, promoted or exchanged the database beneath us: going on could give
    /// numbers out twice (F32). A restart draws a new epoch.
    #[error("the database is not the one this process began with; restart the server")]
    NotOurs,
}

impl Writer {
    pub fn new(options: Options, opened: Opened) -> (Self, watch::Receiver<Arc<Head>>) {
        let (publish, head) = watch::channel(Arc::new(opened.head.clone()));
        let writer = Self {
            options,
            connection: Some(opened.connection),
            origin: opened.origin,
            head: opened.head,
            clock: opened.clock,
            reserved: opened.reserved,
            hot: Hot {
                groups: Groups::new(HOT_MEMBERS),
                posts: Posts::new(HOT_POSTS),
            },
            sidecar: opened.sidecar,
            recorded: None,
            recorded_at: None,
            server: opened.server,
            publish,
        };
        (writer, head)
    }

    /// Runs until every handle on the log is gone and all that waited is answered.
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Work>) {
        let mut ticks = interval(IDLE_TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => self.tick().await,
                count = inbox.recv_many(&mut waiting, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    self.write(std::mem::take(&mut waiting)).await;
                }
            }
        }
        self.finish().await;
    }

    /// Writes all that waits in one transaction, then answers. A new epoch comes first: nothing
    /// more may be numbered under the former one.
    async fn write(&mut self, mut work: Vec<Work>) {
        for renewal in work.extract_if(.., |item| matches!(item, Work::Renew { .. })) {
            self.renew(renewal).await;
        }
        let mut failure = SubmitError::Unavailable;
        for _ in 0..ATTEMPTS {
            if self.connect().await.is_err() {
                break;
            }
            match self.attempt(&work).await {
                Ok(verdicts) => {
                    self.record_in_time().await;
                    self.publish();
                    let head = self.publish.borrow().clone();
                    for (item, verdict) in work.into_iter().zip(verdicts) {
                        answer(item, verdict, &head);
                    }
                    return;
                }
                Err(Failed::DiskFull) => {
                    failure = SubmitError::DiskFull;
                    break;
                }
                Err(Failed::Rejected) if work.len() > 1 => {
                    // One piece that cannot be stored must not cost the others.
                    for item in work {
                        Box::pin(self.write(vec![item])).await;
                    }
                    return;
                }
                Err(Failed::Rejected) => {
                    failure = SubmitError::Unstorable;
                    break;
                }
                Err(Failed::Lost) => {}
            }
        }
        for item in work {
            refuse(item, &failure);
        }
    }

    /// Decides the batch and commits it. After a failure nothing in memory is believed any more.
    async fn attempt(&mut self, work: &[Work]) -> Result<Vec<Verdict>, Failed> {
        let connection = self.connection.as_mut().ok_or(Failed::Lost)?;
        let wall_ms = (self.options.wall)();
        let mut batch = Batch::new(
            self.origin,
            wall_ms,
            self.head.clone(),
            self.clock,
            &mut self.hot,
        );
        let prepared = timeout(STATEMENT, batch.prepare(connection, work)).await;
        if let Some(failure) = failed(prepared) {
            return Err(self.forget(&failure));
        }
        let verdicts: Vec<Verdict> = work.iter().map(|item| batch.decide(item)).collect();
        let rows = std::mem::take(&mut batch.rows);
        let head = batch.head;
        // Kept also when the batch fails: readings may be skipped, never given twice.
        self.clock = batch.clock;
        if !rows.is_empty() {
            let inserted = timeout(STATEMENT, rows::insert(connection, &rows)).await;
            if let Some(failure) = failed(inserted) {
                let reason = self.forget(&failure);
                if !self.was_committed_after_all(&rows).await {
                    return Err(reason);
                }
                return Ok(verdicts);
            }
        }
        self.head = head;
        self.hot.groups.trim();
        self.hot.posts.trim();
        Ok(verdicts)
    }

    /// Settles a commit whose answer was lost: a new session gets the lock only when Postgres has
    /// ended the former one, and then the rows are there or never will be (F12).
    async fn was_committed_after_all(&mut self, rows: &[NewRow]) -> bool {
        if self.connect().await.is_err() {
            return false;
        }
        rows.last().is_some_and(|row| {
            let stamp = &row.event.envelope.stamp;
            self.head.arrival == row.arrival
                && self.head.hashes.get(&stamp.origin) == Some(&row.event.hash)
        })
    }

    fn forget(&mut self, failure: &sqlx::Error) -> Failed {
        tracing::warn!(
            error = failure as &dyn std::error::Error,
            "a batch could not be written"
        );
        self.connection = None;
        self.hot.groups.clear();
        self.hot.posts.clear();
        let sqlx::Error::Database(said) = failure else {
            return Failed::Lost;
        };
        // The classes of https://www.postgresql.org/docs/15/errcodes-appendix.html: 22 is a value
        // that no column takes, 54 a limit of the program.
        match said.code().as_deref() {
            Some("53100") => Failed::DiskFull,
            Some(code) if code.starts_with("22") || code.starts_with("54") => Failed::Rejected,
            _ => Failed::Lost,
        }
    }

    /// Makes sure there is a connection that holds the lock, and that what is in memory is what
    /// the rows say.
    async fn connect(&mut self) -> Result<(), ()> {
        if self.connection.is_some() {
            return Ok(());
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.reconnect(PATIENCE).await {
                Ok(()) => return Ok(()),
                Err(failure) => tracing::warn!(
                    error = &failure as &dyn std::error::Error,
                    "the database is not reachable"
                ),
            }
            if Instant::now() >= deadline {
                return Err(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn reconnect(&mut self, patience: Duration) -> Result<(), Lost> {
        let url = &self.options.database_url;
        let mut connection = connection::connect_and_lock(url, patience).await?;
        let server = rows::server(&mut connection).await?;
        let stored = rows::identity(&mut connection).await?;
        let is_ours = stored.is_some_and(|(_, row)| row.origin == self.origin);
        let head = rows::head(&mut connection, self.origin).await?;
        // All that was ever published from here was committed: it must still be there.
        let has_all = head.vector.covers_all(&self.head.vector);
        if !is_ours || server != self.server || !has_all {
            return Err(Lost::NotOurs);
        }
        self.clock.merge(head.highest);
        self.head = Head {
            floor: self.head.floor,
            ..head
        };
        self.connection = Some(connection);
        Ok(())
    }
}

fn failed<T>(outcome: Result<sqlx::Result<T>, tokio::time::error::Elapsed>) -> Option<sqlx::Error> {
    match outcome {
        Ok(Ok(_)) => None,
        Ok(Err(failure)) => Some(failure),
        Err(_) => Some(sqlx::Error::PoolTimedOut),
    }
}

/// An answer nobody waits for any more is dropped: the write stands all the same (F13).
fn answer(work: Work, verdict: Verdict, head: &Arc<Head>) {
    match (work, verdict) {
        (Work::Submit(_, to), Verdict::Submitted(decided)) => {
            let head = head.clone();
            let done = decided.map(|event| Done { event, head });
            let _ = to.send(done.map_err(SubmitError::Refused));
        }
        (
            Work::Absorb(_, to),
            Verdict::Absorbed {
                stored,
                missing,
                forked,
            },
        ) => {
            let _ = to.send(Ok(Absorbed {
                stored,
                missing,
                forked,
                head: head.clone(),
            }));
        }
        (Work::Persist(_, to), Verdict::Persisted(decided)) => {
            let _ = to.send(decided);
        }
        (Work::Raise(_, to), Verdict::Raised) => {
            let _ = to.send(());
        }
        _ => unreachable!("a verdict is of the kind of its work"),
    }
}

fn refuse(work: Work, failure: &SubmitError) {
    match work {
        Work::Submit(_, to) => drop(to.send(Err(failure.clone()))),
        Work::Absorb(_, to) => drop(to.send(Err(failure.clone()))),
        Work::Persist(_, to) => drop(to.send(Err(failure.clone()))),
        Work::Raise(_, to) => drop(to),
        Work::Renew { answer, .. } => drop(answer.send(Err(failure.clone()))),
    }
}
