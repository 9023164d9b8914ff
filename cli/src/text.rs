//! Text of others, made harmless for a terminal, and cut to a width.
//!
//! Knows nothing of messages: it is handed any text that came over the wire, a name as well as a
//! failure. Used by `screen` for all it shows.

use unicode_width::UnicodeWidthStr;

/// Replaces whatever could steer the terminal: control characters except line feed and tab, and the
/// marks that turn the direction of writing. Line separators become line feeds, so that nobody
/// begins a line unseen.
pub fn harmless(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .map(harmless_char)
        .collect()
}

fn harmless_char(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        '\u{2028}' | '\u{2029}' => '\n',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// The same on one line: for names, addresses and quotes.
pub fn harmless_line(text: &str) -> String {
    harmless(text).replace(['\n', '\t'], " ")
}

/// The beginning of a text, on one line of at most `columns` columns, with `…` where something was
/// cut off.
pub fn excerpt(text: &str, columns: usize) -> String {
    let line = harmless_line(text);
    if line.width() <= columns {
        return line;
    }
    let mut kept = String::new();
    for c in line.chars() {
        kept.push(c);
        if kept.width() + 1 > columns {
            kept.pop();
            break;
        }
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_never_reach_the_terminal() {
        let hostile = "a\u{1b}[2Jb\u{9b}31mc\u{7}d\re\u{202e}f";

        let shown = harmless(hostile);

        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(!shown.contains('\u{202e}'));
    }

    #[test]
    fn line_feeds_and_tabs_stay() {
        assert_eq!(harmless("a\n\tb\r\nc"), "a\n\tb\nc");
    }

    #[test]
    fn a_name_is_one_line() {
        assert_eq!(harmless_line("a\nb\tc"), "a b c");
    }

    #[test]
    fn an_excerpt_counts_columns() {
        assert_eq!(excerpt("short", 10), "short");
        assert_eq!(excerpt("日本語日本語", 7), "日本語…");
    }
}
