//! The lines typed, or piped, into the program.

use std::io::BufRead;
use std::thread;

use tokio::sync::mpsc::{self, UnboundedReceiver};

/// Hands on the lines of standard input until it ends. A thread of its own reads: a read of a
/// terminal cannot be called off.
pub(super) fn lines() -> UnboundedReceiver<String> {
    let (typed, lines) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if typed.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// A console nobody sits at, and which never ends.
pub(super) fn silent() -> UnboundedReceiver<String> {
    let (typed, lines) = mpsc::unbounded_channel();
    std::mem::forget(typed);
    lines
}
