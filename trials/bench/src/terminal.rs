//! B16: the terminal client in a pseudo-terminal, on a real server.

use std::io::{Read as _, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use causeway_client::{Message, NewMessage};
use causeway_rig::program;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

use crate::history::by_pages;
use crate::load::{self, Poster, posters, rate};
use crate::process::resident_bytes;
use crate::replica::Cluster;
use crate::report::{Goal, Line, alone, paired};
use crate::setup::Setup;
use crate::start::megabytes;

/// The number of messages that arrive at once.
const BURST: u64 = 1_000;
/// The number of users who write.
const WRITERS: usize = 64;
/// The timeout for the client to show a text.
const PATIENCE: Duration = Duration::from_mins(5);

pub async fn run(setup: &Setup) -> anyhow::Result<Vec<Line>> {
    let folder = setup.folder("terminal")?;
    let program = program::built("causeway")?;
    let cluster = Cluster::plan(folder.path(), 1)?;
    let replica = cluster.start(0).await?;
    let address = replica.public;
    let writers = posters(address, "terminal", WRITERS, 1).await?;
    let group = writers[0].groups[0].clone();
    let client = Client {
        program: &program,
        home: folder.path(),
        address,
        group: &group,
    };
    let (mut starts, mut bursts, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..setup.runs {
        eprintln!(
            "terminal: start and burst, run {} of {}",
            run + 1,
            setup.runs
        );
        let begun = Instant::now();
        let terminal = client.open()?;
        starts.push(ms(terminal.wait_for("reader@")? - begun));
        bursts.push(burst(&terminal, address, &writers).await?);
    }
    let count = setup.sizes.whole;
    eprintln!("terminal: {count} messages");
    let terminal = client.open()?;
    terminal.wait_for("reader@")?;
    load::fill(address, &writers, count).await?;
    let last = say(address, &writers[0], "after all of them").await?;
    terminal.wait_for(&last)?;
    memory.push(megabytes(resident_bytes(terminal.pid()?)?));
    drop(terminal);

    let all = count + 1 + u64::from(setup.runs) * (BURST + 1);
    let mut reading = Vec::new();
    for run in 0..setup.runs {
        eprintln!(
            "terminal: the whole history, run {} of {}",
            run + 1,
            setup.runs
        );
        let theirs = by_pages(address, &writers[0], all).await?;
        reading.push((client.reads_history(all)?, theirs));
    }
    replica.stop().await?;
    Ok(vec![
        alone(
            "B16",
            "the terminal client from its start to the prompt in a group",
            "ms",
            starts,
            Some(Goal::at_most(30.0, 10.0)),
        ),
        alone(
            "B16",
            format!("{BURST} messages that arrive at once until all are shown"),
            "s",
            bursts,
            Some(Goal::at_most(0.3, 0.3)),
        ),
        alone(
            "B16",
            format!("its memory after {count} messages"),
            "MB",
            memory,
            Some(Goal::at_most(20.0, 12.0)),
        ),
        paired(
            "B16",
            format!("a history of {all} into a pipe; by pages of 500 of the API"),
            "messages/s",
            &reading,
            Goal::at_least(0.5, 0.5),
        ),
    ])
}

/// Stops the client while the messages are posted, so that all are available when it continues.
async fn burst(
    terminal: &Terminal,
    address: SocketAddr,
    writers: &[Poster],
) -> anyhow::Result<f64> {
    let pid = i32::try_from(terminal.pid()?)?;
    let pid = Pid::from_raw(pid).context("a process has a number")?;
    kill_process(pid, Signal::STOP)?;
    load::fill(address, writers, BURST).await?;
    let last = say(address, &writers[0], "after the burst").await?;
    let begun = Instant::now();
    kill_process(pid, Signal::CONT)?;
    Ok((terminal.wait_for(&last)? - begun).as_secs_f64())
}

/// Posts a unique text and returns it.
async fn say(address: SocketAddr, writer: &Poster, what: &str) -> anyhow::Result<String> {
    let text = format!("{what}: {}", load::next_key());
    let message = NewMessage {
        text: &text,
        ..NewMessage::default()
    };
    let client = load::client(address, writer);
    client.post::<Message>(&writer.groups[0], &message).await?;
    Ok(text)
}

/// The parameters of the client.
struct Client<'a> {
    program: &'a Path,
    home: &'a Path,
    address: SocketAddr,
    group: &'a str,
}

impl Client<'_> {
    fn arguments(&self) -> [String; 6] {
        let address = self.address.to_string();
        [
            "--server", &address, "--user", "reader", "--group", self.group,
        ]
        .map(str::to_owned)
    }

    fn open(&self) -> anyhow::Result<Terminal> {
        let pair = native_pty_system().openpty(PtySize {
            rows: 24,
            cols: 80,
            pixel_width: 0,
            pixel_height: 0,
        })?;
        let mut command = CommandBuilder::new(self.program);
        command.args(self.arguments());
        command.env("HOME", self.home);
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command)?;
        let mut output = pair.master.try_clone_reader()?;
        let (pieces, shown) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 16_384];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                if pieces
                    .send((Instant::now(), bytes[..count].to_vec()))
                    .is_err()
                {
                    return;
                }
            }
        });
        Ok(Terminal {
            child,
            shown,
            keys: pair.master.take_writer()?,
            _master: pair.master,
        })
    }

    /// Prints the whole history into a pipe; returns the messages per second.
    fn reads_history(&self, count: u64) -> anyhow::Result<f64> {
        let begun = Instant::now();
        let mut child = Command::new(self.program)
            .args(self.arguments())
            .env("HOME", self.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("it is piped")?;
        stdin.write_all(b"p\n")?;
        drop(stdin);
        let output = child.wait_with_output()?;
        let took = begun.elapsed();
        let lines = output.stdout.split(|byte| *byte == b'\n').count() as u64;
        ensure!(lines > count, "{lines} lines for {count} messages");
        Ok(rate(count, took))
    }
}

/// The client in a pseudo-terminal; ended on drop.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    shown: Receiver<(Instant, Vec<u8>)>,
    keys: Box<dyn Write + Send>,
    _master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    fn pid(&self) -> anyhow::Result<u32> {
        self.child.process_id().context("a process has a number")
    }

    /// Waits for a text; returns the time at which it was written to the terminal.
    fn wait_for(&self, text: &str) -> anyhow::Result<Instant> {
        let deadline = Instant::now() + PATIENCE;
        let mut end = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (at, piece) = self
                .shown
                .recv_timeout(left)
                .with_context(|| format!("never shown: {text}"))?;
            end.extend_from_slice(&piece);
            if end
                .windows(text.len())
                .any(|window| window == text.as_bytes())
            {
                return Ok(at);
            }
            let kept = end.len().saturating_sub(text.len());
            end.drain(..kept);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.keys.write_all(b"\x15q\r");
        // The client may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
