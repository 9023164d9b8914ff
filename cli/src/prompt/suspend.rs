//! Stopping for a while, as Ctrl-Z does, and going on.
//!
//! The terminal is set back before the stop, which the system's own way of stopping would leave to
//! nobody; so the signal is taken, and the stop is made once all is set back.

use std::sync::mpsc::SyncSender;

use rustix::process::{Signal, getpgrp, getsid, kill_current_process_group};
use tokio::signal::unix::{SignalKind, signal};

use super::Happening;

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
            // Where the queue is full the thread is at work, and what it writes is seen anyway.
            let _ = to.try_send(happening());
        }
    });
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
