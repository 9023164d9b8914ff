//! The one writer: all that waits, one transaction, then the answers.

mod ahead;
mod answers;
mod line;
mod promises;
mod session;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use causeway_domain::writing::{Decided, Facts, Head, Needs, Task, Time, Verdict, Writing};
use sqlx::PgConnection;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use self::ahead::{Ahead, decide_ahead};
use self::answers::{answer, refuse};
use self::line::Line;
pub(super) use self::line::pieces;
use self::promises::Recording;
use self::session::{Failed, failed};
use super::connection::Opened;
use super::sidecar::Sidecar;
use super::tail::{Stored, Tail};
use super::trouble::Trouble;
use super::{Asker, Options, SubmitError, Work, facts, rows};

/// How long a statement of the writer may take before the connection is given up.
const STATEMENT: Duration = Duration::from_secs(10);
/// At most once in this time the file beside the database is written before batches are answered.
/// Under a load the file lags by as much, far less than any dump of the database takes.
const RECORD_EVERY: Duration = Duration::from_millis(20);
/// How often an idle writer raises the floor.
const IDLE_TICK: Duration = Duration::from_millis(500);
/// How often a batch whose commit failed is decided again.
const ATTEMPTS: u32 = 3;

pub(super) struct Writer {
    options: Options,
    connection: Option<PgConnection>,
    writing: Writing,
    sidecar: Sidecar,
    recorded_at: Option<Instant>,
    /// When the database last took a reservation; nothing where it has still to prove that it does.
    looked_at: Option<Instant>,
    /// The write of the file beside the database that is under way.
    recording: Option<Recording>,
    trouble: Arc<Trouble>,
    /// What was sent to be committed and never answered: the next session tells whether it was.
    in_doubt: Option<Decided>,
    inbox: mpsc::Receiver<Work>,
    line: Line,
    /// What is written next, and before anything else: it was decided on what is committed now.
    ahead: Option<Ahead>,
    tail: Arc<Tail>,
    publish: watch::Sender<Arc<Head>>,
}

impl Writer {
    pub fn new(
        options: Options,
        opened: Opened,
        tail: Arc<Tail>,
        inbox: mpsc::Receiver<Work>,
    ) -> (Self, watch::Receiver<Arc<Head>>) {
        let (publish, head) = watch::channel(Arc::new(opened.writing.head().clone()));
        let writer = Self {
            options,
            connection: Some(opened.connection),
            writing: opened.writing,
            sidecar: opened.sidecar,
            recorded_at: None,
            looked_at: Some(Instant::now()),
            recording: None,
            trouble: Arc::default(),
            in_doubt: None,
            inbox,
            line: Line::default(),
            ahead: None,
            tail,
            publish,
        };
        (writer, head)
    }

    /// What others are told of what goes wrong.
    pub fn trouble(&self) -> Arc<Trouble> {
        self.trouble.clone()
    }

    /// Runs until every handle on the log is gone and all that waited is answered, or until the database
    /// is not ours any more.
    pub async fn run(mut self) {
        let mut ticks = interval(IDLE_TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.trouble.is_not_ours() {
            tokio::select! {
                biased;
                _ = ticks.tick() => self.tick().await,
                there_is_work = self.wait_for_work() => {
                    if !there_is_work {
                        break;
                    }
                    self.write_next().await;
                    self.line.written(Instant::now());
                }
            }
        }
        self.finish().await;
    }

    /// Tells whether there is work: none comes any more otherwise.
    async fn wait_for_work(&mut self) -> bool {
        self.ahead.is_some() || self.line.fill(&mut self.inbox).await
    }

    async fn write_next(&mut self) {
        self.line.take_in(&mut self.inbox);
        if self.line.is_of_peers_alone(Instant::now())
            && let Some(ahead) = self.ahead.take()
        {
            let decided = Some((ahead.needs, ahead.decided));
            return self.write_tasks(ahead.tasks, ahead.askers, decided).await;
        }
        self.let_ahead_fall();
        let work = self.line.take(Instant::now());
        self.write(work).await;
    }

    /// Writes all that waits. A new epoch comes first: nothing more may be numbered under the
    /// former one.
    async fn write(&mut self, work: Vec<Work>) {
        let mut batch = Vec::new();
        for item in work {
            match item {
                Work::Write(task, asker) => batch.push((task, asker)),
                Work::Renew {
                    former,
                    fresh_epoch,
                    answer,
                } => {
                    let outcome = self.renew(former, fresh_epoch).await;
                    // Whoever stopped waiting does not stop the renewal.
                    let _ = answer.send(outcome);
                }
            }
        }
        if !self.may_give_numbers().await {
            for (_, asker) in batch.extract_if(.., |(task, _)| task.gives_numbers()) {
                refuse(asker, &SubmitError::FileStuck);
            }
        }
        if !batch.is_empty() {
            let (tasks, askers) = batch.into_iter().unzip();
            self.write_tasks(tasks, askers, None).await;
        }
    }

    /// Writes all tasks in one transaction, then answers. `decided` is what was decided about them
    /// ahead, and with what needs.
    async fn write_tasks(
        &mut self,
        tasks: Vec<Task>,
        askers: Vec<Asker>,
        mut decided: Option<(Needs, Decided)>,
    ) {
        let mut failure = SubmitError::Unavailable;
        self.in_doubt = None;
        for _ in 0..ATTEMPTS {
            if self.connect().await.is_err() {
                break;
            }
            let outcome = match self.settle() {
                Some(verdicts) => Ok(verdicts),
                None => self.attempt(&tasks, decided.take()).await,
            };
            match outcome {
                Ok(verdicts) => {
                    // Peers and streams need not wait for the file; who wrote does.
                    self.publish();
                    let is_recorded = self.record_in_time().await;
                    let head = self.publish.borrow().clone();
                    let told = askers.into_iter().zip(verdicts);
                    for ((asker, verdict), task) in told.zip(&tasks) {
                        if is_recorded || !task.gives_numbers() {
                            answer(asker, verdict, &head);
                        } else {
                            refuse(asker, &SubmitError::FileStuck);
                        }
                    }
                    return;
                }
                Err(Failed::DiskFull) => {
                    failure = SubmitError::DiskFull;
                    break;
                }
                Err(Failed::Rejected) if tasks.len() > 1 => {
                    // One piece that cannot be stored must not cost the others.
                    for (task, asker) in tasks.into_iter().zip(askers) {
                        Box::pin(self.write_tasks(vec![task], vec![asker], None)).await;
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
        for asker in askers {
            refuse(asker, &failure);
        }
    }

    /// Decides the batch, unless that was done ahead, and commits it. After a failure nothing in memory
    /// is believed any more.
    async fn attempt(
        &mut self,
        tasks: &[Task],
        ahead: Option<(Needs, Decided)>,
    ) -> Result<Vec<Verdict>, Failed> {
        self.let_ahead_fall();
        if let Some((needs, decided)) = ahead
            && !decided.rows().is_empty()
            && let Some(verdicts) = self.commit(decided, Some(&needs)).await?
        {
            return Ok(verdicts);
        }
        let needs = self.writing.needs(tasks);
        if self.writing.is_likely_new(tasks, &needs) {
            let decided = self.decide(tasks, &needs, Facts::default());
            // The insert proves that it is. Where all is refused there is none.
            if !decided.rows().is_empty()
                && let Some(verdicts) = self.commit(decided, Some(&needs)).await?
            {
                return Ok(verdicts);
            }
        }
        let connection = self.connection.as_mut().ok_or(Failed::Lost)?;
        let found = match timeout(STATEMENT, facts::read(connection, &needs)).await {
            Ok(Ok(found)) => found,
            Ok(Err(failure)) => return Err(self.forget(&failure)),
            Err(_) => return Err(self.forget(&sqlx::Error::PoolTimedOut)),
        };
        let decided = self.decide(tasks, &needs, found);
        if decided.rows().is_empty() {
            return Ok(self.writing.committed(decided));
        }
        self.commit(decided, None).await?.ok_or(Failed::Lost)
    }

    fn decide(&mut self, tasks: &[Task], needs: &Needs, found: Facts) -> Decided {
        let time = now(&self.options);
        self.writing.decide(time, tasks, needs, found)
    }

    /// Commits what was decided, where `unmet` is given only if nothing of that is there: returns
    /// nothing, and has written nothing, otherwise.
    async fn commit(
        &mut self,
        decided: Decided,
        unmet: Option<&Needs>,
    ) -> Result<Option<Vec<Verdict>>, Failed> {
        let connection = self.connection.as_mut().ok_or(Failed::Lost)?;
        let inserted = {
            let mut inserting = pin!(timeout(STATEMENT, async {
                match unmet {
                    Some(needs) => facts::insert_if_new(connection, needs, decided.rows()).await,
                    None => rows::insert(connection, decided.rows())
                        .await
                        .map(|()| true),
                }
            }));
            let (line, inbox, writing) = (&mut self.line, &mut self.inbox, &mut self.writing);
            tokio::select! {
                biased;
                inserted = &mut inserting => inserted,
                ahead = decide_ahead(line, inbox, writing, &decided, now(&self.options)) => {
                    self.ahead = ahead;
                    inserting.await
                }
            }
        };
        match inserted {
            Ok(Ok(true)) => {
                let rows = stored(&decided);
                let verdicts = self.writing.committed(decided);
                self.tail.push(rows);
                self.trouble.session(None);
                Ok(Some(verdicts))
            }
            Ok(Ok(false)) => {
                self.let_ahead_fall();
                Ok(None)
            }
            inserted => {
                let failure = failed(inserted).unwrap_or(sqlx::Error::PoolTimedOut);
                let reason = self.forget(&failure);
                self.in_doubt = Some(decided);
                // Where there is no session now, the next attempt asks once there is.
                let is_back = self.connect().await.is_ok();
                let settled = is_back.then(|| self.settle()).flatten();
                settled.map(Some).ok_or(reason)
            }
        }
    }

    /// What was decided ahead is not true, or not next: it waits in its old place.
    fn let_ahead_fall(&mut self) {
        if let Some(ahead) = self.ahead.take() {
            self.line.put_back(ahead.tasks, ahead.askers);
        }
    }
}

fn now(options: &Options) -> Time {
    Time {
        wall_ms: (options.wall)(),
        order_ms: (options.order)(),
    }
}

fn stored(decided: &Decided) -> Vec<Stored> {
    decided.rows().iter().map(Stored::from).collect()
}
