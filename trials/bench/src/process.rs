//! Memory and processor time of processes, from `/proc`.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context;

/// The resident memory of a process in bytes.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("a process without VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib * 1024)
}

/// The processor time of processes and their descendants, including children that have ended and
/// were waited for.
pub fn cpu_of_trees(roots: &[u32]) -> anyhow::Result<Duration> {
    let mut total = Duration::ZERO;
    let mut family = roots.to_vec();
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Some(stat) = Stat::of(pid) {
            all.push((pid, stat));
        }
    }
    while let Some(parent) = family.pop() {
        for (pid, stat) in &all {
            if *pid == parent {
                total += stat.own + stat.ended_children;
            }
            if stat.parent == parent {
                family.push(*pid);
            }
        }
    }
    Ok(total)
}

/// Measures the use of cores by this process, which generates the load, and by servers.
pub struct Meter {
    begun: Instant,
    servers: Vec<u32>,
    before: (Duration, Duration, Duration),
}

/// Shares of one core; 1 is a full core.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shares {
    pub load_generator: f64,
    pub servers: f64,
    /// The descendants of the servers, which are their databases.
    pub databases: f64,
}

impl Meter {
    /// Starts the measurement.
    pub fn begin(servers: &[u32]) -> anyhow::Result<Self> {
        Ok(Self {
            begun: Instant::now(),
            before: used(servers)?,
            servers: servers.to_vec(),
        })
    }

    /// The shares since the start.
    pub fn end(&self) -> anyhow::Result<Shares> {
        let now = used(&self.servers)?;
        let share = |now: Duration, before: Duration| {
            now.saturating_sub(before).as_secs_f64() / self.begun.elapsed().as_secs_f64()
        };
        Ok(Shares {
            load_generator: share(now.0, self.before.0),
            servers: share(now.1, self.before.1),
            databases: share(now.2, self.before.2),
        })
    }
}

/// Processor time of this process, of the servers, and of their descendants.
fn used(servers: &[u32]) -> anyhow::Result<(Duration, Duration, Duration)> {
    let own = |pid| Stat::of(pid).map_or(Duration::ZERO, |stat| stat.own);
    let by_servers: Duration = servers.iter().copied().map(own).sum();
    let below = cpu_of_trees(servers)?.saturating_sub(by_servers);
    Ok((own(std::process::id()), by_servers, below))
}

impl Shares {
    /// The mean of several.
    pub fn mean(all: &[Self]) -> Self {
        let count = f64::from(u32::try_from(all.len()).unwrap_or(u32::MAX));
        let mean = |of: fn(&Self) -> f64| all.iter().map(of).sum::<f64>() / count;
        Self {
            load_generator: mean(|shares| shares.load_generator),
            servers: mean(|shares| shares.servers),
            databases: mean(|shares| shares.databases),
        }
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            to,
            "load generator {:.0} % of a core, server {:.0} %, its Postgres {:.0} %",
            self.load_generator * 100.0,
            self.servers * 100.0,
            self.databases * 100.0
        )
    }
}

struct Stat {
    parent: u32,
    own: Duration,
    ended_children: Duration,
}

impl Stat {
    /// `None` if the process has ended.
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Parses a line of `stat`, see proc(5); the fields follow the name in brackets.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |index: usize| -> Option<u64> { fields.get(index)?.parse().ok() };
        // Linux counts in hundredths of a second on every machine we know (USER_HZ).
        let time = |a: u64, b: u64| Duration::from_millis((a + b) * 10);
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: time(ticks(11)?, ticks(12)?),
            ended_children: time(ticks(13)?, ticks(14)?),
        })
    }
}
