//! Writes the program's log to standard error from a thread of its own: a pipe that nobody reads, a
//! stopped terminal or a full disk must not block a replica.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Most lines in the queue.
const QUEUE: usize = 4_096;
/// How long the end of the program waits for the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

enum Entry {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

/// Queues lines and never blocks: lines that do not fit are dropped, and their number is logged.
#[derive(Clone, Debug)]
pub struct Log {
    entries: SyncSender<Entry>,
    dropped: Arc<AtomicU64>,
}

impl Log {
    /// Returns a log to standard error.
    pub fn to_standard_error() -> Self {
        Self::to(io::stderr())
    }

    fn to(target: impl Write + Send + 'static) -> Self {
        let (entries, inbox) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&dropped);
        std::thread::spawn(move || write_all(&inbox, target, &counted));
        Self { entries, dropped }
    }

    /// Waits until all lines are written, for a second at most.
    pub fn finish(&self) {
        let (written, answer) = sync_channel(1);
        if self.entries.try_send(Entry::Flush(written)).is_ok() {
            let _ = answer.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

fn write_all(inbox: &Receiver<Entry>, mut target: impl Write, dropped: &AtomicU64) {
    for entry in inbox {
        match entry {
            // A failure to write the log cannot be logged.
            Entry::Line(line) => drop(target.write_all(&line)),
            Entry::Flush(written) => drop(written.try_send(())),
        }
        let dropped = dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let _ = writeln!(
                target,
                "{dropped} lines of the log are missing: nobody read them in time"
            );
        }
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let sent = self.entries.try_send(Entry::Line(line.to_vec()));
        if let Err(TrySendError::Full(_)) = sent {
            self.dropped.fetch_add(1, Ordering::Relaxed);
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
    fn logging_to_a_pipe_that_nobody_reads_does_not_block_and_reports_the_loss() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut log = Log::to(writer);

        // More than the pipe and the queue hold.
        for _ in 0..3 * QUEUE {
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
