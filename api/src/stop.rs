//! When to stop: on SIGINT, SIGTERM, or when whoever started us is gone.

use std::future::pending;
use std::io::{self, Read};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Returns a future that is done when the program is asked to stop. Asked once more, it ends at once.
///
/// With `until_stdin_closes` the end of standard input is such a request: a pipe held by another
/// process closes with it, however it ends.
pub fn requested(until_stdin_closes: bool) -> io::Result<impl Future<Output = ()>> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let closed = until_stdin_closes.then(stdin_closed);
    Ok(async move {
        tokio::select! {
            _ = interrupts.recv() => {}
            _ = terminations.recv() => {}
            () = async { match closed {
                Some(closed) => drop(closed.await),
                None => pending().await,
            } } => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {}
            }
            // A private Postgres is stopped by its guard.
            std::process::exit(1);
        });
    })
}

/// Reads in a thread of its own: a read of standard input cannot be called off.
fn stdin_closed() -> oneshot::Receiver<()> {
    let (closes, closed) = oneshot::channel();
    thread::spawn(move || {
        let mut piece = [0; 1024];
        let mut stdin = io::stdin().lock();
        while !matches!(stdin.read(&mut piece), Ok(0) | Err(_)) {}
        let _ = closes.send(());
    });
    closed
}
