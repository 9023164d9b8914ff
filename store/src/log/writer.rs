//! The writer: executes the effects of the machine in `domain`, one statement at a time, and feeds
//! the outcomes back as inputs.

mod answers;
mod statement;

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;

use causeway_domain::writing::machine::{Effect, Input, Machine, Now, Pacing, Statement, Work};
use causeway_domain::writing::{Head, Record, Time};
use futures_util::future::{Either, Fuse, FutureExt as _};
use sqlx::PgConnection;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, Sleep, sleep_until};

use self::answers::{answer, fail};
use self::statement::{Ended, Runner};
use super::conditions::SharedConditions;
use super::connection::Opened;
use super::sidecar::Sidecar;
use super::tail::{Stored, Tail};
use super::trouble::Trouble;
use super::{Options, Reply};

pub(super) struct Writer {
    options: Arc<Options>,
    machine: Machine<Reply>,
    /// `None` while a statement runs on it, or while there is no session.
    session: Option<PgConnection>,
    sidecar: Sidecar,
    /// The write of the file beside the database in progress.
    recording: Option<JoinHandle<io::Result<()>>>,
    /// Why the last such write failed.
    file_failure: Option<io::Error>,
    commands: mpsc::UnboundedReceiver<Work<Reply>>,
    inbox: mpsc::Receiver<Work<Reply>>,
    /// Whether every handle on the log is dropped.
    is_closed: bool,
    trouble: Arc<Trouble>,
    conditions: Arc<SharedConditions>,
    tail: Arc<Tail>,
    publish: watch::Sender<Arc<Head>>,
    begun: Instant,
}

/// What the handles on the log send.
pub(super) struct Incoming {
    /// Clients' commands, bounded by their permits.
    pub commands: mpsc::UnboundedReceiver<Work<Reply>>,
    /// All other work.
    pub inbox: mpsc::Receiver<Work<Reply>>,
}

impl Writer {
    pub fn new(
        options: Options,
        opened: Opened,
        tail: Arc<Tail>,
        received: Incoming,
    ) -> (Self, watch::Receiver<Arc<Head>>) {
        let conditions = Arc::new(SharedConditions::new(options.max_lag_ms));
        let (publish, head) = watch::channel(Arc::new(opened.writing.head().clone()));
        let begun = Instant::now();
        let writer = Self {
            machine: Machine::new(now(&options, begun), opened.writing, Pacing::default()),
            options: Arc::new(options),
            session: Some(opened.connection),
            sidecar: opened.sidecar,
            recording: None,
            file_failure: None,
            commands: received.commands,
            inbox: received.inbox,
            is_closed: false,
            trouble: Arc::default(),
            conditions,
            tail,
            publish,
            begun,
        };
        (writer, head)
    }

    /// The conditions that stop this writer.
    pub fn trouble(&self) -> Arc<Trouble> {
        self.trouble.clone()
    }

    /// What concerns the pace of this writer.
    pub fn conditions(&self) -> Arc<SharedConditions> {
        self.conditions.clone()
    }

    /// Runs until every handle on the log is dropped and all queued work is answered, or until the
    /// database was replaced or restored.
    pub async fn run(mut self) {
        let mut running = pin!(Fuse::terminated());
        let mut wake = pin!(sleep_until(self.begun));
        let (mut input, mut effects) = (Input::Woken, Vec::new());
        loop {
            let now = now(&self.options, self.begun);
            self.machine.set_conditions(self.conditions.read());
            self.machine.step(now, input, &mut effects);
            for effect in effects.drain(..) {
                match effect {
                    Effect::Run(statement) => running.set(self.start(statement).fuse()),
                    Effect::End => return,
                    effect => self.execute(effect),
                }
            }
            input = self.next_input(running.as_mut(), wake.as_mut()).await;
            self.accept_received();
        }
    }

    async fn next_input(
        &mut self,
        running: Pin<&mut Fuse<impl Future<Output = Ended>>>,
        mut wake: Pin<&mut Sleep>,
    ) -> Input {
        let due = self.machine.next_wake().map(|at| self.begun + at);
        if let Some(due) = due.filter(|due| *due != wake.deadline()) {
            wake.as_mut().reset(due);
        }
        let wants_work = self.machine.wants_work() && !self.is_closed;
        let has_room = self.machine.room() > 0;
        tokio::select! {
            biased;
            ended = running => {
                self.session = ended.session;
                ended.input
            }
            written = written(&mut self.recording) => self.recorded(written),
            () = wake, if due.is_some() => Input::Woken,
            work = self.commands.recv(), if wants_work => self.received(work),
            work = self.inbox.recv(), if wants_work && has_room => self.received(work),
        }
    }

    /// Both channels are closed together, with the last handle on the log.
    fn received(&mut self, work: Option<Work<Reply>>) -> Input {
        let Some(work) = work else {
            self.is_closed = true;
            return Input::Closed;
        };
        self.machine.accept(work);
        Input::Woken
    }

    /// Passes all received work to the machine, so that it is committed as a group.
    fn accept_received(&mut self) {
        while let Ok(work) = self.commands.try_recv() {
            self.machine.accept(work);
        }
        while self.machine.room() > 0
            && let Ok(work) = self.inbox.try_recv()
        {
            self.machine.accept(work);
        }
    }

    fn start(&mut self, statement: Statement) -> impl Future<Output = Ended> + use<> {
        let runner = Runner {
            options: Arc::clone(&self.options),
            trouble: Arc::clone(&self.trouble),
        };
        if let Statement::Connect { within, lock } = statement {
            self.session = None;
            return Either::Left(runner.connect(self.machine.origin(), within, lock));
        }
        let session = self.session.take();
        let session = session.expect("a statement runs only on a session");
        Either::Right(runner.run(session, statement))
    }

    fn execute(&mut self, effect: Effect<Reply>) {
        match effect {
            Effect::Record(record) => self.record(record),
            Effect::Committed(rows) => self.tail.push(rows.into_iter().map(Stored::from)),
            Effect::Publish(head) => {
                self.conditions.committed(head.offset);
                drop(self.publish.send_replace(head));
            }
            Effect::Answer {
                reply,
                verdict,
                head,
            } => answer(reply, verdict, head),
            Effect::Fail { reply, why } => fail(reply, why),
            Effect::FileIsStuck(is_stuck) => self.file_is_stuck(is_stuck),
            Effect::DatabaseReplaced(reason) => {
                self.trouble.is_not_ours_any_more();
                self.trouble.has_no_session(reason.to_string());
            }
            Effect::Run(_) | Effect::End => unreachable!("the loop handles these"),
        }
    }

    fn record(&mut self, record: Record) {
        let sidecar = self.sidecar.clone();
        // Waiting for the disk must not block the other tasks of this thread.
        self.recording = Some(tokio::task::spawn_blocking(move || sidecar.write(&record)));
    }

    fn recorded(&mut self, written: Result<io::Result<()>, JoinError>) -> Input {
        self.recording = None;
        let written = written.unwrap_or_else(|_| Err(io::Error::other("writing it failed")));
        self.file_failure = written.err();
        Input::Recorded(self.file_failure.is_none())
    }

    /// Logs each change once: the write is retried often, and the log may be on the full disk.
    fn file_is_stuck(&mut self, is_stuck: bool) {
        self.trouble.file_is_stuck(is_stuck);
        let path = self.sidecar.path().display();
        if is_stuck {
            let failure = self.file_failure.take();
            let failure = failure.unwrap_or(io::ErrorKind::TimedOut.into());
            tracing::error!(%failure, %path, "cannot write the file beside the database");
        } else {
            tracing::info!(%path, "the file beside the database can be written again");
        }
    }
}

/// Waits for the write of the file in progress; never returns if there is none.
async fn written(
    recording: &mut Option<JoinHandle<io::Result<()>>>,
) -> Result<io::Result<()>, JoinError> {
    match recording {
        Some(recording) => recording.await,
        None => std::future::pending().await,
    }
}

fn now(options: &Options, begun: Instant) -> Now {
    Now {
        since_start: begun.elapsed(),
        time: Time {
            wall_ms: (options.wall)(),
            order_ms: (options.order)(),
        },
    }
}
