//! Requests to stop: SIGINT, SIGTERM, or the end of standard input.

use std::io::{self, Read};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns a token that is cancelled when the program is asked to stop. A second signal ends the
/// program at once.
///
/// With `until_stdin_closes` the end of standard input is such a request: a pipe closes when the
/// process that holds its other end is gone, however that ended.
pub fn requested(until_stdin_closes: bool) -> io::Result<CancellationToken> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    if until_stdin_closes {
        cancel_when_stdin_closes(stop.clone());
    }
    let requested = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupts.recv() => {}
            _ = terminations.recv() => {}
            () = requested.cancelled() => {}
        }
        requested.cancel();
        tokio::select! {
            _ = interrupts.recv() => {}
            _ = terminations.recv() => {}
        }
        // A private Postgres is stopped by its guard.
        std::process::exit(1);
    });
    Ok(stop)
}

/// Reads in a thread of its own: a read of standard input cannot be cancelled.
fn cancel_when_stdin_closes(stop: CancellationToken) {
    thread::spawn(move || {
        let mut chunk = [0; 1024];
        let mut stdin = io::stdin().lock();
        while !matches!(stdin.read(&mut chunk), Ok(0) | Err(_)) {}
        stop.cancel();
    });
}
