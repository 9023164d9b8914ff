//! Keeps the server running: launches it again unless its owner stopped it.

use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::launch::Launcher;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// After running this long a server counts as recovered, and the pauses start over.
const RECOVERED: Duration = Duration::from_secs(10);

/// The leash of the running server; empty once it is to stop for good.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leash(Arc<Mutex<Option<ChildStdin>>>);

impl Leash {
    pub(crate) fn hold(&self, leash: ChildStdin) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(leash);
    }

    /// Drops the leash, so that the guard ends the server.
    pub(crate) fn release(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Restarts the server until `stop` is dropped, then returns when the server has ended.
pub(crate) fn watch(launcher: &Launcher, mut child: Child, leash: &Leash, stop: &Receiver<()>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let started = Instant::now();
        if is_stopping(stop, Duration::ZERO) {
            leash.release();
        }
        let status = child.wait();
        leash.release();
        if is_stopping(stop, Duration::ZERO) {
            return;
        }
        if started.elapsed() > RECOVERED {
            pause = FIRST_PAUSE;
        }
        tracing::warn!(
            ?status,
            said = launcher.folder.last_words(),
            "Postgres ended, starting it again"
        );
        loop {
            if is_stopping(stop, pause) {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            match launcher.launch() {
                Ok(again) => {
                    child = again.child;
                    leash.hold(again.leash);
                    break;
                }
                Err(error) => tracing::warn!(%error, "Postgres cannot be started, trying again"),
            }
        }
    }
}

/// Waits for the owner to stop us, at most for a time.
fn is_stopping(stop: &Receiver<()>, timeout: Duration) -> bool {
    !matches!(stop.recv_timeout(timeout), Err(RecvTimeoutError::Timeout))
}
