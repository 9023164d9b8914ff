//! The output of a run: a progress line, and a table at the end.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::check::Verdict;
use crate::tally::Tally;

/// The maximum number of violations to print.
const SHOWN: usize = 40;

/// The interval of progress lines if the output is no terminal.
const APART: Duration = Duration::from_secs(10);

/// Prints progress: on a terminal in one line that is overwritten, elsewhere at intervals.
#[derive(Debug, Default)]
pub struct Progress {
    told: Option<(Instant, String)>,
}

impl Progress {
    /// Prints the current counts.
    pub fn show(&mut self, tally: &Tally) {
        let mut out = std::io::stderr().lock();
        if out.is_terminal() {
            // The reader of standard error may have closed it.
            let _ = write!(out, "\r\x1b[K{}", tally.line());
            return;
        }
        let is_told =
            |(at, phase): &(Instant, String)| at.elapsed() < APART && *phase == tally.phase;
        if !self.told.as_ref().is_some_and(is_told) {
            self.told = Some((Instant::now(), tally.phase.clone()));
            let _ = writeln!(out, "{}", tally.line());
        }
    }
}

/// Prints the table.
#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
pub fn print(tally: &Tally, verdict: &Verdict, seed: u64) {
    println!("\n{}", table(tally, verdict, seed));
}

fn table(tally: &Tally, verdict: &Verdict, seed: u64) -> String {
    let mut lines = vec![format!("seed {seed}"), "faults".to_owned()];
    for (fault, count) in &tally.faults {
        lines.push(format!("  {fault:<18}{count:>8}"));
    }
    for (fault, why) in &tally.skipped {
        lines.push(format!("  {fault:<18} skipped: {why}"));
    }
    let broken = |promise: &str| {
        let breaches = verdict.breaches.iter();
        breaches.filter(|breach| breach.promise == promise).count()
    };
    for (name, count) in [
        ("attempts to post", tally.tries),
        ("writes answered", tally.done),
        ("writes refused", tally.refused),
        ("writes unknown", tally.unknown),
        ("frames read", tally.frames),
    ] {
        lines.push(format!("{name:<20}{count:>8}"));
    }
    for (name, count) in [
        ("given again", verdict.given_again),
        ("destroyed with disk", verdict.destroyed.len()),
        ("lost", broken("lost")),
        ("twice", broken("twice")),
        ("out of order", broken("order")),
        ("not equal", broken("equal")),
        ("promises broken", verdict.breaches.len()),
    ] {
        lines.push(format!("{name:<20}{count:>8}"));
    }
    lines.push(convergence(&tally.converged_ms));
    for breach in verdict.breaches.iter().take(SHOWN) {
        lines.push(format!("BROKEN {breach}"));
    }
    lines.join("\n")
}

fn convergence(converged_ms: &[u64]) -> String {
    let mut sorted = converged_ms.to_vec();
    sorted.sort_unstable();
    match (sorted.get(sorted.len() / 2), sorted.last()) {
        (Some(median), Some(max)) => format!(
            "time to converge    median {median} ms, max {max} ms, {} times",
            sorted.len()
        ),
        _ => "time to converge    never".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_how_long_convergence_took() {
        assert!(convergence(&[]).contains("never"));
        assert!(convergence(&[900, 100, 500]).contains("median 500 ms, max 900 ms, 3 times"));
    }
}
