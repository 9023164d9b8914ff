//! Lines from standard input that is not a terminal.
//!
//! The counterpart of `prompt` for pipes and files.

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::mpsc::{Receiver, channel};

use crate::prompt::Typed;
use crate::text::{lines_of, without_mark};

/// Reads lines to the end of the input, each only after the one before was processed.
pub fn lines() -> Receiver<Typed> {
    let (typed, lines) = channel(1);
    tokio::spawn(async move {
        let mut input = BufReader::new(tokio::io::stdin());
        let mut line = Vec::new();
        let mut is_first = true;
        // Input that cannot be read any more has ended.
        while let Ok(1..) = input.read_until(b'\n', &mut line).await {
            // Bytes in another encoding would be sent as text that nobody wrote.
            let bytes = if is_first { without_mark(&line) } else { &line };
            is_first = false;
            for line in lines_of(bytes) {
                let line_of_text = match std::str::from_utf8(line) {
                    Ok(text) => Typed::Line(text.to_owned()),
                    Err(_) => Typed::NotUtf8,
                };
                if typed.send(line_of_text).await.is_err() {
                    return;
                }
            }
            line.clear();
        }
    });
    lines
}
