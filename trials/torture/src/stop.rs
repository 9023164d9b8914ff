//! Termination on request.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for Ctrl-C or a termination signal.
pub async fn requested() -> anyhow::Error {
    let listening = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    match listening {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            anyhow::anyhow!("stopped by a signal; the run is cleaned up")
        }
        (Err(failure), _) | (_, Err(failure)) => failure.into(),
    }
}
