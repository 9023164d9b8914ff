//! Keeps the server running: whatever ends it, except its owner, it is launched again.

use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::launch::Launcher;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A server that ran this long has recovered: its next end is a new matter.
const STEADY: Duration = Duration::from_secs(10);

/// The leash of the server that runs now; none once it is to end for good.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leash(Arc<Mutex<Option<ChildStdin>>>);

impl Leash {
    pub(crate) fn hold(&self, leash: ChildStdin) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(leash);
    }

    /// Lets the server of this moment go: its guard ends it.
    pub(crate) fn release(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Watches until `stop` is hung up, then returns when the server has ended.
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
        if started.elapsed() > STEADY {
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

/// Waits a while for the owner to stop us.
fn is_stopping(stop: &Receiver<()>, patience: Duration) -> bool {
    !matches!(stop.recv_timeout(patience), Err(RecvTimeoutError::Timeout))
}
