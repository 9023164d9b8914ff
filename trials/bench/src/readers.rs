//! Thousands of open streams, read by a separate process, which has its own limit of open files and
//! whose processor time is measured separately.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::load::Poster;
use crate::process::cpu_of_trees;
use crate::secure;
use crate::stream::Reader;

/// The number of streams that are opened concurrently.
const OPENING: usize = 50;
/// The prefix of the text of a round, followed by its number with `DIGITS` digits.
const ROUND: &str = "bench-round-";
const DIGITS: usize = 8;

/// The reading process; killed on drop.
pub struct Readers {
    child: Child,
    stdin: Option<ChildStdin>,
    said: Lines<BufReader<ChildStdout>>,
    round: u32,
}

impl Readers {
    /// Opens one stream per poster, on the poster's first group, and waits until all have caught
    /// up.
    pub fn open(address: SocketAddr, readers: &[Poster]) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["readers", "--address", &address.to_string()]);
        if let Some(ca) = secure::ca(address) {
            command.arg("--ca").arg(ca);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("it is piped")?;
        for reader in readers {
            let group = reader.groups.first().context("a reader has a group")?;
            writeln!(stdin, "{} {group}", reader.token)?;
        }
        writeln!(stdin)?;
        let stdout = child.stdout.take().context("it is piped")?;
        let mut readers = Self {
            child,
            stdin: Some(stdin),
            said: BufReader::new(stdout).lines(),
            round: 0,
        };
        readers.hear("open")?;
        Ok(readers)
    }

    /// The text of the next round.
    pub fn next_text(&mut self) -> String {
        self.round += 1;
        format!("{ROUND}{:0DIGITS$}", self.round)
    }

    /// Waits until every stream has received the last text.
    pub fn all_have(&mut self) -> anyhow::Result<()> {
        self.hear(&format!("all {}", self.round))
    }

    /// The processor time of the readers so far.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_of_trees(&[self.child.id()])
    }

    fn hear(&mut self, what: &str) -> anyhow::Result<()> {
        let said = self.said.next().context("the readers have ended")??;
        ensure!(said == what, "the readers say `{said}`, not `{what}`");
        Ok(())
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.stdin.take();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The main function of the reading process: opens a stream per line of standard input, up to an
/// empty line, then reports each round once all streams have received it. It ends with its input.
pub async fn serve(address: SocketAddr, ca: Option<PathBuf>) -> anyhow::Result<()> {
    if let Some(ca) = ca {
        secure::remember(address, &ca)?;
    }
    let mut streams = Vec::new();
    let mut opening = JoinSet::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let Some((token, group)) = line.split_once(' ') else {
            break;
        };
        let (token, group) = (token.to_owned(), group.to_owned());
        if opening.len() >= OPENING
            && let Some(opened) = opening.join_next().await
        {
            streams.push(opened??);
        }
        opening.spawn(async move { Reader::open(address, &token, &group).await });
    }
    while let Some(opened) = opening.join_next().await {
        streams.push(opened??);
    }
    let count = streams.len();
    let (tell, mut told) = mpsc::unbounded_channel();
    for mut stream in streams {
        let tell = tell.clone();
        tokio::spawn(async move {
            loop {
                let round = stream.next_number(ROUND, DIGITS).await;
                let is_over = round.is_err();
                if tell.send(round).is_err() || is_over {
                    return;
                }
            }
        });
    }
    say("open")?;
    let closed = tokio::task::spawn_blocking(|| std::io::stdin().lines().count());
    let counting = async {
        let mut have: BTreeMap<u32, usize> = BTreeMap::new();
        while let Some(round) = told.recv().await {
            let round = round?;
            let have = have.entry(round).or_default();
            *have += 1;
            if *have == count {
                say(&format!("all {round}"))?;
            }
        }
        anyhow::Ok(())
    };
    tokio::select! {
        counted = counting => counted,
        _ = closed => Ok(()),
    }
}

fn say(what: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{what}")?;
    Ok(stdout.flush()?)
}
