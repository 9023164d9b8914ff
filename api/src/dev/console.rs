//! The lines typed, or piped, into the program.

use std::io::BufRead;
use std::thread;

use tokio::sync::mpsc::{self, UnboundedReceiver};

/// Hands on the lines of standard input until it ends. A thread of its own reads: a read of a
/// terminal cannot be called off.
pub(super) fn lines() -> UnboundedReceiver<String> {
    let (typed, lines) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for line in lines_of(std::io::stdin().lock()) {
            if typed.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// The lines of a script of any system: with a byte order mark, and with CR LF, CR or LF as ends.
fn lines_of(input: impl BufRead) -> impl Iterator<Item = String> {
    let read = input.lines().map_while(Result::ok).enumerate();
    read.flat_map(|(number, line)| {
        let mark: &[char] = if number == 0 { &['\u{feff}'] } else { &[] };
        let lines = line.trim_start_matches(mark).split('\r');
        lines.map(String::from).collect::<Vec<_>>()
    })
}

/// A console nobody sits at, and which never ends.
pub(super) fn silent() -> UnboundedReceiver<String> {
    let (typed, lines) = mpsc::unbounded_channel();
    std::mem::forget(typed);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_of_another_system_is_read_as_it_reads() {
        let read = |input: &'static str| lines_of(input.as_bytes()).collect::<Vec<_>>();

        assert_eq!(read("\u{feff}kill 3\r\nstart 3\r\n"), ["kill 3", "start 3"]);
        assert_eq!(read("kill 3\rstart 3\r"), ["kill 3", "start 3", ""]);
        assert_eq!(read("status"), ["status"]);
        assert_eq!(read("status\n\u{feff}x"), ["status", "\u{feff}x"]);
    }
}
