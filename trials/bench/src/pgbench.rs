//! The yardstick for writes: pgbench inserts one similar event per transaction into the same table,
//! in a Postgres with the same settings on the same disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use causeway_postgres::{Options, PrivatePostgres};
use sqlx::{Connection, Executor, PgConnection};

use crate::stats::percentile_ms;

/// The table of the log, from the project's first migration.
const EVENTS: &str = include_str!("../../../migrations/20261101000000_create_events.sql");
/// A post of about the size of those that the load makes. What stands after a colon stands apart
/// from it where pgbench would see a variable.
const INSERT: &str = r#"INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version,
    payload, metadata, arrival, replica, epoch, seq, hlc, level, hash, key_digest)
VALUES ('post', gen_random_uuid()::text, 1, 'MessagePosted', '1',
    '{"stamp":{"origin":"1.9f3c07aa","seq":123456,"hlc":117000000000000000,"past":{"1.9f3c07aa":123455,"2.00000002":99999,"3.00000003":99999,"4.00000004":99999,"5.00000005":99999}},"level":1,"aggregate":"post","id":"0123456789abcdef0123456789abcdef","group":"group-17","type":"MessagePosted","at":1790000000000,"event":{"author":{"id":"0123456789abcdef","name":"user-17"},"text":"a message of usual length, as people write them to each other in a chat, no more","sent_at_ms": null,"key":"0123456789abcdef-123456"}}',
    '{}', nextval('arrivals'), 1, 1, nextval('seqs'), 117000000000000000, 1,
    decode(repeat('ab', 32), 'hex'), decode(md5(random()::text), 'hex'));
"#;

/// The Postgres of the yardstick.
pub struct Yardstick {
    postgres: PrivatePostgres,
    folder: PathBuf,
}

/// One run of pgbench.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub per_second: f64,
    pub p50_ms: f64,
}

impl Yardstick {
    /// Starts Postgres in a folder.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join("yardstick");
        fs::create_dir_all(&folder)?;
        let options = Options {
            superuser: true,
            ..Options::default()
        };
        let postgres = PrivatePostgres::start(&folder.join("postgres"), &options)?;
        let mut connection = PgConnection::connect(&postgres.superuser_url()).await?;
        connection.execute(EVENTS).await?;
        connection
            .execute("CREATE SEQUENCE arrivals CACHE 1; CREATE SEQUENCE seqs CACHE 1")
            .await?;
        fs::write(folder.join("insert.sql"), INSERT.replace('\n', " "))?;
        Ok(Self { postgres, folder })
    }

    /// Empties the table; returns a connection to it.
    pub async fn emptied(&self) -> anyhow::Result<PgConnection> {
        let mut connection = PgConnection::connect(&self.postgres.superuser_url()).await?;
        connection.execute("TRUNCATE events").await?;
        connection.execute("CHECKPOINT").await?;
        Ok(connection)
    }

    /// Runs pgbench with a number of clients for a duration.
    pub async fn insert(&self, clients: usize, duration: Duration) -> anyhow::Result<Run> {
        drop(self.emptied().await?);
        let logs = self.folder.join("latencies");
        let _ = fs::remove_dir_all(&logs);
        fs::create_dir_all(&logs)?;
        let mut command = Command::new(program().context("pgbench is not installed")?);
        command
            .current_dir(&logs)
            .args(["--no-vacuum", "--protocol=prepared", "--log"])
            .arg(format!("--client={clients}"))
            .arg(format!("--jobs={}", clients.min(2)))
            .arg(format!("--time={}", duration.as_secs().max(1)))
            .arg(format!(
                "--file={}",
                self.folder.join("insert.sql").display()
            ))
            .arg(self.postgres.superuser_url());
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "pgbench failed: {}",
            complaint.lines().next().unwrap_or_default()
        );
        let said = String::from_utf8_lossy(&output.stdout);
        let per_second = said
            .lines()
            .filter_map(|line| line.strip_prefix("tps = "))
            .filter_map(|rest| rest.split_whitespace().next()?.parse().ok())
            .next_back()
            .context("pgbench printed no tps")?;
        Ok(Run {
            per_second,
            p50_ms: percentile_ms(&mut latencies(&logs)?, 0.5),
        })
    }
}

/// Reads the logs of one run. The columns are client, number, microseconds, and more.
fn latencies(folder: &Path) -> anyhow::Result<Vec<Duration>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let text = fs::read_to_string(entry?.path())?;
        let micros = text
            .lines()
            .filter_map(|line| line.split_whitespace().nth(2)?.parse().ok());
        all.extend(micros.map(Duration::from_micros));
    }
    Ok(all)
}

/// The output of `pgbench --version`.
pub fn version() -> Option<String> {
    let output = Command::new(program()?).arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Finds pgbench, or another program of Postgres, where distributions install it.
pub fn find(name: &str) -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok();
    let of_debian = versions
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(of_debian)
        .map(|folder| folder.join(name))
        .find(|program| program.exists())
}

fn program() -> Option<PathBuf> {
    find("pgbench")
}
