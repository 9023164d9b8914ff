//! B6 and B7: pages of a large group against those of a small one, and a whole history against
//! psql. And calls for changes at the end of a history against those at its beginning.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::http::Connection;
use crate::load::{Poster, rate};
use crate::made::{self, History, LARGE, SMALL, WHOLE};
use crate::pgbench;
use crate::process::{Meter, Shares};
use crate::replica::Cluster;
use crate::report::{Goal, Line, paired};
use crate::setup::Setup;
use crate::stats::percentile_ms;

/// The number of pages per figure.
const PAGES: usize = 100;

pub async fn run(setup: &Setup, history: &History) -> anyhow::Result<Vec<Line>> {
    let cluster = &history.cluster;
    let replica = cluster.start(0).await?;
    let address = replica.public;
    let small = History::member(address, SMALL).await?;
    let large = History::member(address, LARGE).await?;
    let (few, many) = (setup.sizes.small, setup.sizes.large);
    let middles = (
        middle(cluster, SMALL, few).await?,
        middle(cluster, LARGE, many).await?,
    );
    let mut lines = Vec::new();
    for limit in [50, 500] {
        for place in ["first", "middle"] {
            let mut pairs = Vec::new();
            let from = |middle: &str| match place {
                "first" => String::new(),
                _ => format!("&before={middle}"),
            };
            for run in 0..setup.runs {
                eprintln!("history: pages of {limit}, {place}, run {}", run + 1);
                let theirs = pages(address, &small, limit, &from(&middles.0)).await?;
                let ours = pages(address, &large, limit, &from(&middles.1)).await?;
                pairs.push((ours, theirs));
            }
            let what = format!("{place} page of {limit} of {many} messages; of {few}, p50");
            lines.push(paired("B6", what, "ms", &pairs, Goal::at_most(1.5, 1.1)));
        }
    }
    let whole = History::member(address, WHOLE).await?;
    let (mut pairs, mut shares) = (Vec::new(), Vec::new());
    for run in 0..setup.runs {
        eprintln!("history: a whole history, run {}", run + 1);
        let theirs = by_psql(cluster, setup.sizes.whole)?;
        let meter = Meter::begin(&[replica.pid()])?;
        let ours = by_pages(address, &whole, setup.sizes.whole).await?;
        shares.push(meter.end()?);
        pairs.push((ours, theirs));
    }
    let what = format!(
        "a history of {} by pages of 500; psql, the rows as JSON",
        setup.sizes.whole
    );
    let shares = Shares::mean(&shares);
    lines.push(
        paired("B7", what, "messages/s", &pairs, Goal::at_least(0.3, 0.6)).with(shares.to_string()),
    );
    let mut pairs = Vec::new();
    for run in 0..setup.runs {
        eprintln!(
            "history: changes from the first to the last, run {}",
            run + 1
        );
        pairs.push(by_changes(address, &whole, &history.start).await?);
    }
    let what = format!(
        "the last calls for 50 changes of {}; the first calls, p50",
        setup.sizes.whole
    );
    lines.push(paired("R2", what, "ms", &pairs, Goal::at_most(1.5, 1.1)));
    replica.stop().await?;
    Ok(lines)
}

/// Follows a whole group with calls for 50 changes, as a bot does that stores only its cursor.
/// Returns the median latency of the last calls and of the first.
async fn by_changes(
    address: SocketAddr,
    reader: &Poster,
    start: &str,
) -> anyhow::Result<(f64, f64)> {
    let mut connection = Connection::open(address).await?;
    let (token, group) = (&reader.token, &reader.groups[0]);
    let mut cursor = start.to_owned();
    let mut samples = Vec::new();
    loop {
        let path = format!("/v1/groups/{group}/changes?limit=50&cursor={cursor}");
        let sent = Instant::now();
        let answer = connection.ask("GET", &path, token, "", "").await?;
        let took = sent.elapsed();
        let changes = str::from_utf8(answer.body)?;
        ensure!(answer.status == 200, "answered {changes}");
        let is_full = changes.matches(r#""event":"#).count() == 50;
        // Each change has a cursor too; that of the answer comes last.
        let (_, own) = changes.rsplit_once(r#""cursor":""#).context("no cursor")?;
        let own = own.split('"').next().context("no cursor")?;
        own.clone_into(&mut cursor);
        if !is_full {
            break;
        }
        samples.push(took);
    }
    ensure!(
        samples.len() >= 2 * PAGES,
        "{} calls are too few",
        samples.len()
    );
    let mut last = samples.split_off(samples.len() - PAGES);
    samples.truncate(PAGES);
    Ok((
        percentile_ms(&mut last, 0.5),
        percentile_ms(&mut samples, 0.5),
    ))
}

/// The median latency of one page.
async fn pages(
    address: SocketAddr,
    reader: &Poster,
    limit: usize,
    from: &str,
) -> anyhow::Result<f64> {
    let mut connection = Connection::open(address).await?;
    let (token, group) = (&reader.token, &reader.groups[0]);
    let path = format!("/v1/groups/{group}/messages?limit={limit}{from}");
    let page = connection.ask("GET", &path, token, "", "").await?.json()?;
    let messages = page["messages"].as_array().map_or(0, Vec::len);
    ensure!(
        // Half of a small history may be shorter than a page.
        messages == limit || (messages > 0 && page["has_before"] == false),
        "a page of {limit} has {messages} messages"
    );
    let mut samples = Vec::with_capacity(PAGES);
    for _ in 0..PAGES {
        let sent = Instant::now();
        let answer = connection.ask("GET", &path, token, "", "").await?;
        samples.push(sent.elapsed());
        ensure!(
            answer.status == 200,
            "a page was answered {}",
            answer.status
        );
    }
    Ok(percentile_ms(&mut samples, 0.5))
}

/// The position of the middle message of a group.
async fn middle(cluster: &Cluster, name: &str, count: u64) -> anyhow::Result<String> {
    let query = "SELECT position FROM messages WHERE group_name = $1
                 ORDER BY position OFFSET $2 LIMIT 1";
    let middle = sqlx::query_scalar(query)
        .bind(made::group(name))
        .bind(i64::try_from(count / 2)?)
        .fetch_one(&mut cluster.database(0).await?)
        .await?;
    Ok(middle)
}

/// Reads all pages backwards from the newest. They are searched as text and not parsed, so that the
/// cost of the reader stays small.
pub async fn by_pages(address: SocketAddr, reader: &Poster, count: u64) -> anyhow::Result<f64> {
    let mut connection = Connection::open(address).await?;
    let (token, group) = (&reader.token, &reader.groups[0]);
    let newest = format!("/v1/groups/{group}/messages?limit=500");
    let mut path = newest.clone();
    let begun = Instant::now();
    let mut read = 0;
    loop {
        let answer = connection.ask("GET", &path, token, "", "").await?;
        let page = str::from_utf8(answer.body)?;
        let first = value_of(page, "position").context("a page without a message")?;
        if page.contains(r#""has_before":true"#) {
            read += 500;
            path = format!("{newest}&before={first}");
            continue;
        }
        let took = begun.elapsed();
        read += page.matches(r#""position":"#).count() as u64;
        ensure!(read == count, "{read} of {count} messages were read");
        return Ok(rate(read, took));
    }
}

/// The first string of a given name in JSON without spaces.
fn value_of<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = json.split_once(&format!("\"{name}\":\""))?;
    rest.split('"').next()
}

/// Prints the same rows as JSON with psql.
fn by_psql(cluster: &Cluster, count: u64) -> anyhow::Result<f64> {
    let psql = pgbench::find("psql").context("psql is not installed")?;
    let group = made::group(WHOLE);
    let query = format!(
        "COPY (SELECT row_to_json(m) FROM messages m WHERE group_name = '{group}' \
         ORDER BY position) TO STDOUT"
    );
    let begun = Instant::now();
    let output = Command::new(psql)
        .args([
            "--no-psqlrc",
            "--quiet",
            "--username=causeway",
            "--dbname=postgres",
        ])
        .arg(format!("--host={}", cluster.socket_folder(0)?.display()))
        .arg(format!("--command={query}"))
        .stderr(Stdio::inherit())
        .output()?;
    let took = begun.elapsed();
    ensure!(output.status.success(), "psql failed");
    let printed = output.stdout.split(|byte| *byte == b'\n').count() as u64 - 1;
    ensure!(printed == count, "psql printed {printed} of {count} rows");
    Ok(rate(printed, took))
}
