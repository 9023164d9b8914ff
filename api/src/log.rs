//! The way of the log to standard error. A thread of its own writes it: a pipe that nobody reads, a
//! terminal that was stopped or a disk without room must not keep a replica waiting.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// How many lines may wait.
const WAITING: usize = 4_096;
/// How long the end of a program waits for its last lines.
const PATIENCE: Duration = Duration::from_secs(1);

enum Entry {
    Line(Vec<u8>),
    /// Tells whoever sent it that all before it is written.
    End(SyncSender<()>),
}

/// Takes lines and never waits: what finds no place is lost, and how much is told.
#[derive(Clone, Debug)]
pub struct Log {
    entries: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

impl Log {
    /// A log to standard error.
    pub fn to_standard_error() -> Self {
        Self::to(io::stderr())
    }

    fn to(target: impl Write + Send + 'static) -> Self {
        let (entries, inbox) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&lost);
        std::thread::spawn(move || write_all(&inbox, target, &told));
        Self { entries, lost }
    }

    /// Waits until all lines are written, for a second at most.
    pub fn finish(&self) {
        let (written, told) = sync_channel(1);
        if self.entries.try_send(Entry::End(written)).is_ok() {
            let _ = told.recv_timeout(PATIENCE);
        }
    }
}

fn write_all(inbox: &Receiver<Entry>, mut target: impl Write, lost: &AtomicU64) {
    for entry in inbox {
        match entry {
            // Where it cannot be written there is nobody to tell.
            Entry::Line(line) => drop(target.write_all(&line)),
            Entry::End(written) => drop(written.try_send(())),
        }
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(
                target,
                "{lost} lines of the log are missing: nobody took them"
            );
        }
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let sent = self.entries.try_send(Entry::Line(line.to_vec()));
        if let Err(TrySendError::Full(_)) = sent {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn whoever_logs_to_nobody_does_not_wait_and_the_loss_is_told() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut log = Log::to(writer);

        // More than the pipe and the queue hold.
        for _ in 0..3 * WAITING {
            log.write_all(&[b'x'; 63]).unwrap();
            log.write_all(b"\n").unwrap();
        }

        drop(log);
        let mut all = String::new();
        reader.read_to_string(&mut all).unwrap();
        assert!(
            all.contains("lines of the log are missing"),
            "{}",
            all.len()
        );
    }

    #[test]
    fn what_was_logged_before_the_end_is_written() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut log = Log::to(writer);

        log.write_all(b"one\n").unwrap();
        log.finish();

        let mut line = [0; 4];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"one\n");
    }
}
