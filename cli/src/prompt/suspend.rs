//! Suspending, as Ctrl-Z does, and resuming.
//!
//! The terminal must be restored before the process stops, which the default action of SIGTSTP does
//! not do; so the signal is handled, and the process stops itself afterwards.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use rustix::process::{Signal, getpgrp, getsid, kill_current_process_group};
use tokio::signal::unix::{SignalKind, signal};

use super::TerminalEvent;
use super::thread::TerminalThread;

/// The pause before a full queue is tried again.
const FULL: Duration = Duration::from_millis(5);

/// Forwards SIGTSTP and SIGCONT. Must be called within a runtime.
pub(super) fn listen(events: &SyncSender<TerminalEvent>) {
    forward(Signal::TSTP, events.clone(), || TerminalEvent::Suspend);
    forward(Signal::CONT, events.clone(), || TerminalEvent::Continued);
}

fn forward(wanted: Signal, to: SyncSender<TerminalEvent>, event: fn() -> TerminalEvent) {
    // Without a handler the signal keeps its default action.
    let Ok(mut signals) = signal(SignalKind::from_raw(wanted.as_raw())) else {
        return;
    };
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            report(&to, event).await;
        }
    });
}

/// Waits while the queue is full, as in a burst: the thread waits for the news that the program
/// resumes. Must not block, because the chat runs on the same thread.
async fn report(to: &SyncSender<TerminalEvent>, event: fn() -> TerminalEvent) {
    while let Err(TrySendError::Full(_)) = to.try_send(event()) {
        tokio::time::sleep(FULL).await;
    }
}

/// Whether there is a shell that can resume a stopped program.
fn can_stop() -> bool {
    getsid(None).is_ok_and(|session| session != getpgrp())
}

/// Stops this process group. The stop may take a moment.
fn stop() {
    // A process can always stop itself.
    let _ = kill_current_process_group(Signal::STOP);
}

impl TerminalThread {
    /// Restores the terminal and stops, until the program is resumed.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        if !can_stop() {
            return self.note("there is no shell to return to; q leaves");
        }
        self.canvas.erase();
        self.canvas.flush()?;
        self.mode.restore()?;
        stop();
        // Events that arrive until then can wait.
        while let Ok(event) = self.events.recv() {
            match event {
                TerminalEvent::Continued => break,
                other => self.backlog.push_back(other),
            }
            if self.is_closing.load(Ordering::Acquire) {
                return Ok(());
            }
        }
        self.go_on()
    }

    /// Takes the terminal back after other programs have used it.
    pub(super) fn go_on(&mut self) -> io::Result<()> {
        self.mode.resume(self.prompt.is_some())?;
        self.scrollback.forget();
        self.canvas.forget();
        if self.canvas.has_codes() {
            self.canvas.print("\r\u{1b}[J")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    #[tokio::test]
    async fn a_full_queue_costs_no_signal() {
        let (to, events) = std::sync::mpsc::sync_channel(1);
        to.send(TerminalEvent::Request(Request::Clear)).unwrap();

        let reported = tokio::spawn(async move { report(&to, || TerminalEvent::Continued).await });
        tokio::task::yield_now().await;
        assert!(matches!(events.recv(), Ok(TerminalEvent::Request(_))));
        reported.await.unwrap();

        assert!(matches!(events.recv(), Ok(TerminalEvent::Continued)));
    }
}
