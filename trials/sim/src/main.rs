//! `sim`: runs seeds on all cores until one fails, and counts the situations that occurred.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use causeway_sim::{Hits, Run};
use clap::Parser;

/// A run of at least this many seeds fails unless every [`Hits`] counter is above zero.
const ENOUGH: u64 = 1_000;
/// The number of trace lines printed for a failure.
const LAST_LINES: usize = 60;

/// Simulates replicas under every fault at once, one seed a run.
#[derive(Parser)]
#[command(name = "sim")]
struct Options {
    /// The number of seeds to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Runs only this seed and prints its trace.
    #[arg(long)]
    seed: Option<u64>,
    /// Continues after a failure and reports every failed seed.
    #[arg(long)]
    keep_going: bool,
    /// Skips the seeds whose faults cannot fork an origin.
    #[arg(long)]
    forks: bool,
    /// The number of replicas.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(2..=50))]
    replicas: u16,
}

fn main() -> ExitCode {
    // A panic is a failed seed and is reported below; the default hook would print it a second
    // time.
    std::panic::set_hook(Box::new(|_| {}));
    // The alias ends in `--`, so `cargo sim -- --seeds 10` passes a second one; it is dropped.
    let options = Options::parse_from(std::env::args_os().filter(|it| it != "--"));
    let outcome = match options.seed {
        Some(seed) => one(&options, seed),
        None => many(&options),
    };
    // Writing fails if the reader of the output has closed the pipe.
    outcome.unwrap_or(ExitCode::FAILURE)
}

fn run(options: &Options, seed: u64) -> Run {
    Run {
        seed,
        size: usize::from(options.replicas),
        swarm: None,
    }
}

fn one(options: &Options, seed: u64) -> std::io::Result<ExitCode> {
    let outcome = run(options, seed).go_with_trace();
    let mut out = std::io::stdout().lock();
    out.write_all(outcome.trace.as_bytes())?;
    match outcome.violation {
        None => {
            writeln!(out, "seed {seed} holds")?;
            Ok(ExitCode::SUCCESS)
        }
        Some(what) => {
            writeln!(out, "seed {seed} FAILS: {what}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// State shared by the worker threads.
#[derive(Default)]
struct Shared {
    next: AtomicU64,
    done: AtomicU64,
    is_over: AtomicBool,
    failed: Mutex<Vec<(u64, String)>>,
    hits: Mutex<Hits>,
}

#[expect(clippy::disallowed_methods, reason = "the duration is only printed")]
fn many(options: &Options) -> std::io::Result<ExitCode> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let shared = Shared::default();
    let began = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| work(options, &shared)))
            .collect();
        let mut printed_at = Instant::now();
        while !workers
            .iter()
            .all(std::thread::ScopedJoinHandle::is_finished)
        {
            std::thread::sleep(Duration::from_millis(20));
            if printed_at.elapsed() >= Duration::from_secs(1) {
                printed_at = Instant::now();
                print_progress(options, &shared, began.elapsed());
            }
        }
    });
    report(options, &shared, began.elapsed())
}

fn work(options: &Options, shared: &Shared) {
    let mut hits = Hits::default();
    while !shared.is_over.load(Ordering::Relaxed) {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        if number >= options.seeds {
            break;
        }
        let seed = options.first + number;
        let run = run(options, seed);
        if options.forks && !run.can_fork() {
            continue;
        }
        let outcome = run.go();
        hits.add(&outcome.hits);
        shared.done.fetch_add(1, Ordering::Relaxed);
        if let Some(what) = outcome.violation {
            shared.is_over.store(!options.keep_going, Ordering::Relaxed);
            let mut failed = shared
                .failed
                .lock()
                .expect("no thread panics while holding the lock");
            failed.push((seed, what));
        }
    }
    let mut all = shared
        .hits
        .lock()
        .expect("no thread panics while holding the lock");
    all.add(&hits);
}

#[expect(clippy::cast_precision_loss, reason = "shown to people")]
fn print_progress(options: &Options, shared: &Shared, took: Duration) {
    let done = shared.done.load(Ordering::Relaxed);
    let per_second = done as f64 / took.as_secs_f64();
    let left = options.seeds.saturating_sub(done);
    let left_s = left as f64 / per_second.max(0.1);
    eprintln!("{done} seeds done, {per_second:.0} a second, {left} left ({left_s:.0} s)");
}

#[expect(clippy::cast_precision_loss, reason = "shown to people")]
fn report(options: &Options, shared: &Shared, took: Duration) -> std::io::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let hits = shared
        .hits
        .lock()
        .expect("no thread panics while holding the lock");
    let done = shared.done.load(Ordering::Relaxed);
    let per_second = done as f64 / took.as_secs_f64();
    writeln!(
        out,
        "{hits}{done} seeds in {:.1} s, {per_second:.0} a second",
        took.as_secs_f64()
    )?;
    let failed = shared
        .failed
        .lock()
        .expect("no thread panics while holding the lock");
    if options.keep_going {
        let mut failed = failed.clone();
        failed.sort();
        for (seed, what) in failed {
            writeln!(out, "seed {seed} FAILS: {what}")?;
        }
    }
    if let Some((seed, what)) = failed.iter().min() {
        let outcome = run(options, *seed).go_with_trace();
        let lines: Vec<&str> = outcome.trace.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        let replicas = options.replicas;
        writeln!(out, "\n{}\n\nseed {seed} FAILS: {what}", last.join("\n"))?;
        writeln!(
            out,
            "again: cargo sim -- --seed {seed} --replicas {replicas}"
        )?;
        return Ok(ExitCode::FAILURE);
    }
    let never = hits.never();
    if done >= ENOUGH && !never.is_empty() {
        writeln!(out, "\nnever met: {}", never.join("; "))?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
