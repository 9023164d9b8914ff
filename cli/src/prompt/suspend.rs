//! Stopping for a while, as Ctrl-Z does, and going on.
//!
//! The terminal is set back before the stop, which the system's own way of stopping would leave to
//! nobody; so the signal is taken, and the stop is made once all is set back.

use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use rustix::process::{Signal, getpgrp, getsid, kill_current_process_group};
use tokio::signal::unix::{SignalKind, signal};

use super::Happening;

/// The pause before a full queue is tried again.
const FULL: Duration = Duration::from_millis(5);

/// Reports the signals for stopping and going on, from within a runtime.
pub(super) fn listen(happenings: &SyncSender<Happening>) {
    forward(Signal::TSTP, happenings.clone(), || Happening::Suspend);
    forward(Signal::CONT, happenings.clone(), || Happening::Continued);
}

fn forward(wanted: Signal, to: SyncSender<Happening>, happening: fn() -> Happening) {
    // Where a signal cannot be had, it does what it does without us.
    let Ok(mut signals) = signal(SignalKind::from_raw(wanted.as_raw())) else {
        return;
    };
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            report(&to, happening).await;
        }
    });
}

/// Waits while the queue is full, as in a burst: the thread stands still until it knows that the
/// program goes on. A thread of the runtime must not be blocked meanwhile, for the chat runs there.
async fn report(to: &SyncSender<Happening>, happening: fn() -> Happening) {
    while let Err(TrySendError::Full(_)) = to.try_send(happening()) {
        tokio::time::sleep(FULL).await;
    }
}

/// Whether there is a shell that could let a stopped program go on.
pub(super) fn can_stop() -> bool {
    getsid(None).is_ok_and(|session| session != getpgrp())
}

/// Stops this program and whatever was started together with it. It may take a moment.
pub(super) fn stop() {
    // Nothing can keep us from stopping ourselves.
    let _ = kill_current_process_group(Signal::STOP);
}

#[cfg(test)]
mod tests {
    use super::super::Order;
    use super::*;

    #[tokio::test]
    async fn a_full_queue_costs_no_signal() {
        let (to, happenings) = std::sync::mpsc::sync_channel(1);
        to.send(Happening::Order(Order::Clear)).unwrap();

        let reported = tokio::spawn(async move { report(&to, || Happening::Continued).await });
        tokio::task::yield_now().await;
        assert!(matches!(happenings.recv(), Ok(Happening::Order(_))));
        reported.await.unwrap();

        assert!(matches!(happenings.recv(), Ok(Happening::Continued)));
    }
}
