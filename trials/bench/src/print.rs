//! The results as a table or JSON, with a description of the machine.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::report::{Bound, Goal, Line, Verdict};
use crate::setup::Setup;
use crate::stats::Spread;

/// The description of machine and versions, taken before the first run.
#[derive(Debug)]
pub struct Head(Vec<String>);

/// The table as Markdown.
pub fn table(head: &Head, lines: &[Line]) -> String {
    let mut text = head.0.join("  \n");
    text.push_str(
        "\n\n| # | what; its yardstick | ours: median (min–max) | yardstick | ratio | must | aim | reached |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for line in lines {
        let note = match line.note.as_str() {
            "" => String::new(),
            note => format!("; {note}"),
        };
        let is_ratio = line.ratio.is_some();
        let goal = |which: fn(Goal) -> Bound| {
            let unit = if is_ratio { "×" } else { line.unit };
            line.goal
                .map_or_else(String::new, |goal| bound(which(goal), unit))
        };
        writeln!(
            text,
            "| {} | {}{note} | {} {} | {} | {} | {} | {} | {} |",
            line.budget,
            line.what,
            spread(line.ours),
            line.unit,
            line.yardstick.map_or_else(String::new, spread),
            line.ratio.map_or_else(String::new, spread),
            goal(|goal| goal.must),
            goal(|goal| goal.aim),
            line.verdict().map_or("", word),
        )
        .expect("writing to a String cannot fail");
    }
    text
}

/// The results as JSON.
pub fn json(head: &Head, lines: &[Line]) -> Value {
    let spread = |of: Spread| json!({"median": of.median, "min": of.min, "max": of.max});
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| {
            let goal = |which: fn(Goal) -> Bound| line.goal.map(|goal| bound(which(goal), ""));
            json!({
                "budget": line.budget, "what": line.what, "unit": line.unit,
                "ours": spread(line.ours), "yardstick": line.yardstick.map(spread),
                "ratio": line.ratio.map(spread),
                "must": goal(|goal| goal.must), "aim": goal(|goal| goal.aim),
                "reached": line.verdict().map(word), "note": line.note,
            })
        })
        .collect();
    json!({ "head": head.0, "lines": lines })
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Aim => "aim",
        Verdict::Must => "must",
        Verdict::Missed => "**no**",
    }
}

fn bound(bound: Bound, unit: &str) -> String {
    let text = match bound {
        Bound::AtLeast(value) => format!("≥ {value} {unit}"),
        Bound::AtMost(value) => format!("≤ {value} {unit}"),
    };
    text.trim_end().to_owned()
}

fn spread(of: Spread) -> String {
    if of.min.to_bits() == of.max.to_bits() {
        return number(of.median);
    }
    let (median, min, max) = (number(of.median), number(of.min), number(of.max));
    format!("{median} ({min}–{max})")
}

/// Formats a number with three significant digits.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

impl Head {
    /// Reads the machine, the versions and the load average.
    pub fn of(setup: &Setup) -> Self {
        let said = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().ok()?;
            let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            (!text.is_empty()).then_some(text)
        };
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let unknown = || "?".to_owned();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let memory = read("/proc/meminfo");
        let memory = memory.lines().next().unwrap_or_default();
        let others = read("/proc/loadavg");
        let others = others.split_whitespace().next().unwrap_or("?");
        let sizes = &setup.sizes;
        Self(vec![
            format!(
                "Machine: {cores} cores, {memory}, {}; load average before: {others}",
                said("uname", &["-srm"]).unwrap_or_else(unknown)
            ),
            format!(
                "Causeway {}, built with {}; {}",
                env!("CARGO_PKG_VERSION"),
                said("rustc", &["--version"]).unwrap_or_else(unknown),
                crate::pgbench::version().unwrap_or_else(unknown)
            ),
            format!(
                "Medians (min–max) of {} runs; loads of {} s; histories of {} and {}",
                setup.runs,
                setup.load.as_secs(),
                sizes.large,
                sizes.whole
            ),
        ])
    }
}
