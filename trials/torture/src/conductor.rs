//! The run as a whole: rounds of faults, each healed and checked, then a final check of everything.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::interval;

use crate::check::{self, Breach, Verdict};
use crate::cluster::Cluster;
use crate::converge;
use crate::finals::{self, Finals};
use crate::history::{Event, History};
use crate::kinds::Kind;
use crate::nemesis::{Nemesis, Pace};
use crate::options::Arguments;
use crate::reader::Reader;
use crate::rng::Rng;
use crate::scratch::Scratch;
use crate::stop;
use crate::summary::{self, Progress};
use crate::user::{User, http};
use crate::writer::Writer;

/// The approximate duration of a round.
const ROUND: Duration = Duration::from_secs(50);
const CALM: Pace = Pace {
    pause_ms: (500, 3_000),
    process_lanes: 2,
};
/// Everything at once.
const TOTAL: Pace = Pace {
    pause_ms: (0, 400),
    process_lanes: 3,
};

/// Runs all rounds; returns whether every guarantee held.
pub async fn run(arguments: &Arguments, program: &Path) -> anyhow::Result<bool> {
    let seed = arguments.seed.unwrap_or_else(fresh_seed);
    eprintln!("torture: seed {seed}, {} minutes", arguments.minutes);
    let mut scratch = Scratch::create().context("a folder for the run cannot be made")?;
    let history = Arc::new(History::begin(&scratch.path().join("history.jsonl"))?);
    let mut started = None;
    let whole = async {
        let cluster = Cluster::start(arguments, program, scratch.path()).await?;
        let cluster = started.insert(Arc::new(cluster)).clone();
        let rng = Rng::new(seed);
        let mut conductor = Conductor::new(arguments, cluster, history.clone(), rng);
        anyhow::Ok(conductor.conduct().await)
    };
    let outcome = tokio::select! {
        outcome = whole => outcome,
        stopped = stop::requested() => Err(stopped),
    };
    if let Some(cluster) = started {
        cluster.end().await;
    }
    history.flush();
    let verdict = outcome?;
    summary::print(&history.tally(), &verdict, seed);
    if !verdict.breaches.is_empty() {
        scratch.keep();
        eprintln!("history and logs are kept in {}", scratch.path().display());
    }
    Ok(verdict.breaches.is_empty())
}

struct Conductor<'a> {
    arguments: &'a Arguments,
    cluster: Arc<Cluster>,
    history: Arc<History>,
    rng: Rng,
    groups: Vec<String>,
    progress: Mutex<Progress>,
    told: BTreeSet<Breach>,
}

impl<'a> Conductor<'a> {
    fn new(
        arguments: &'a Arguments,
        cluster: Arc<Cluster>,
        history: Arc<History>,
        rng: Rng,
    ) -> Self {
        Self {
            arguments,
            cluster,
            history,
            rng,
            groups: Vec::new(),
            progress: Mutex::default(),
            told: BTreeSet::new(),
        }
    }

    /// Runs the rounds and the checks. A failure that ends the run early counts as a violation.
    async fn conduct(&mut self) -> Verdict {
        let finals = match self.torture().await {
            Ok(finals) => finals,
            Err(failure) => {
                self.broken("comes back", format!("{failure:#}"));
                Finals::new()
            }
        };
        self.history.read(|entries| check::check(entries, &finals))
    }

    async fn torture(&mut self) -> anyhow::Result<Finals> {
        let whole = Duration::from_secs_f64(self.arguments.minutes.clamp(0.1, 100_000.0) * 60.0);
        let begun = Instant::now();
        let mut number = 0;
        while begun.elapsed() < whole {
            number += 1;
            let left = whole.saturating_sub(begun.elapsed());
            // The last round also takes the remaining time.
            let span = if left < ROUND * 3 / 2 { left } else { ROUND };
            // Disks are destroyed only in the second half, as settled positions hold until then.
            let may_destroy = begun.elapsed() + span / 2 > whole / 2;
            let kinds: Vec<Kind> = self.arguments.kinds();
            let kinds = kinds
                .into_iter()
                .filter(|kind| may_destroy || !kind.destroys());
            let is_last = left == span;
            let pace = if is_last { TOTAL } else { CALM };
            self.round(number, &kinds.collect::<Vec<_>>(), pace, span)
                .await?;
        }
        self.phase("the final check");
        finals::read(&self.cluster, &self.groups).await
    }

    async fn round(
        &mut self,
        number: u32,
        kinds: &[Kind],
        pace: Pace,
        span: Duration,
    ) -> anyhow::Result<()> {
        let group = format!("round-{number}");
        self.groups.push(group.clone());
        let (end_faults, faults_ended) = watch::channel(false);
        let (end_writing, writing_ended) = watch::channel(false);
        let (say_healed, healed) = watch::channel(false);
        let readers = self.start_readers(&group, &healed).await?;
        let writers = self.start_writers(&group, &writing_ended);
        self.phase(&format!("round {number}"));
        let nemesis = Nemesis::new(
            self.cluster.clone(),
            self.history.clone(),
            self.rng.fork(),
            &group,
            faults_ended,
        );
        let kinds = kinds.to_vec();
        let torment = tokio::spawn(async move { nemesis.torment(&kinds, pace).await });
        self.watch_for(span).await;

        self.phase(&format!("round {number}, healing"));
        end_faults.send_replace(true);
        torment.await?;
        self.heal().await?;
        end_writing.send_replace(true);
        self.ends(writers).await;
        self.converges().await;
        say_healed.send_replace(true);
        self.ends(readers).await;

        let finals = finals::read(&self.cluster, &[group]).await?;
        let verdict = self.history.read(|entries| check::check(entries, &finals));
        self.tell(&verdict);
        Ok(())
    }

    async fn start_readers(
        &mut self,
        group: &str,
        healed: &watch::Receiver<bool>,
    ) -> anyhow::Result<JoinSet<()>> {
        let http = http(self.cluster.ca());
        // A group exists from its first join.
        let user = User::new(http.clone(), self.cluster.clone(), "founder");
        Writer::new(user, self.history.clone(), self.rng.fork(), group, 1)
            .join()
            .await;
        let mut readers = JoinSet::new();
        for number in 1..=self.arguments.readers {
            let user = User::new(
                http.clone(),
                self.cluster.clone(),
                &format!("reader-{number}"),
            );
            let rng = self.rng.fork();
            let reader = Reader::begin(user, self.history.clone(), rng, group, number).await?;
            readers.spawn(reader.read(healed.clone()));
        }
        Ok(readers)
    }

    fn start_writers(&mut self, group: &str, ended: &watch::Receiver<bool>) -> JoinSet<()> {
        let http = http(self.cluster.ca());
        let mut writers = JoinSet::new();
        for number in 1..=self.arguments.writers {
            let user = User::new(
                http.clone(),
                self.cluster.clone(),
                &format!("writer-{number}"),
            );
            let home = (number - 1) % self.cluster.count() + 1;
            let writer = Writer::new(user, self.history.clone(), self.rng.fork(), group, home);
            writers.spawn(writer.work(ended.clone()));
        }
        writers
    }

    /// Waits for a duration and prints progress.
    async fn watch_for(&self, span: Duration) {
        let end = Instant::now() + span;
        let mut second = interval(Duration::from_secs(1));
        let mut fallen = BTreeSet::new();
        while Instant::now() < end {
            second.tick().await;
            self.show();
            for number in self.cluster.fallen() {
                if fallen.insert(number) {
                    self.broken("stays up", format!("replica {number} ended by itself"));
                }
            }
        }
    }

    /// Ends all faults.
    async fn heal(&self) -> anyhow::Result<()> {
        self.cluster.network.heal_all();
        for number in self.cluster.numbers() {
            self.cluster.set_clock(number, 0)?;
        }
        for number in self.cluster.fallen() {
            let said = self.cluster.replica(number).await.last_words();
            self.broken(
                "stays up",
                format!("replica {number} ended by itself: {said}"),
            );
        }
        self.cluster.start_all().await
    }

    async fn converges(&self) {
        match converge::wait(&self.cluster).await {
            Ok(span) => self.history.record(Event::Converged {
                after_ms: u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
            }),
            Err(failure) => self.broken("converges", failure.to_string()),
        }
    }

    async fn ends(&self, mut tasks: JoinSet<()>) {
        while let Some(ended) = tasks.join_next().await {
            if let Err(failure) = ended {
                self.broken("torture itself", failure.to_string());
            }
            self.show();
        }
    }

    /// Prints and keeps the violations of a round. The final check may not find them again, since
    /// settled positions are no longer checked once a disk was destroyed.
    fn tell(&mut self, verdict: &Verdict) {
        let phase = self.history.tally().phase;
        for breach in &verdict.breaches {
            if self.told.insert(breach.clone()) {
                eprintln!("\r{phase}: {breach}");
                self.broken(breach.promise, breach.what.clone());
            }
        }
    }

    fn phase(&self, name: &str) {
        self.history.record(Event::Phase {
            name: name.to_owned(),
        });
        self.show();
    }

    fn show(&self) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.show(&self.history.tally());
    }

    fn broken(&self, promise: &'static str, what: String) {
        self.history.record(Event::Broken { promise, what });
    }
}

fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(0)
}
