//! Text from the network, sanitised for a terminal and cut to a width.
//!
//! Knows nothing of messages: names and error messages are treated alike. Used by `screen` for all
//! it shows.

mod invisible;

use icu_properties::CodePointMapData;
use icu_properties::props::BidiClass;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use self::invisible::Kind;

/// How many combining marks a letter may have. No language needs more; hundreds of them would cover
/// the rows around it.
const MARKS: usize = 4;
/// The base of a mark without a letter.
const DOTTED_CIRCLE: char = '\u{25cc}';
const UNSHOWN: char = '\u{fffd}';

/// Replaces whatever could control the terminal or remain invisible: control characters except line
/// feed and tab, bidirectional controls, and characters without a shape, unless they join emoji or
/// letters. Limits the marks on a letter. Line separators become line feeds, so that every line
/// break is visible as one.
pub fn sanitised(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut marks = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        match c {
            '\r' if next == Some('\n') => {}
            '\n' | '\t' => {
                kept.push(c);
                marks = None;
            }
            '\u{2028}' | '\u{2029}' => {
                kept.push('\n');
                marks = None;
            }
            _ => match invisible::kind(text, at, c, next) {
                Kind::Kept => kept.push(c),
                Kind::Hidden => {
                    if !kept.ends_with(UNSHOWN) {
                        kept.push(UNSHOWN);
                    }
                    marks = Some(0);
                }
                Kind::Shown if c.width() == Some(0) => {
                    let count = marks.unwrap_or_else(|| {
                        kept.push(DOTTED_CIRCLE);
                        0
                    });
                    if count < MARKS {
                        kept.push(c);
                    }
                    marks = Some(count + 1);
                }
                Kind::Shown => {
                    kept.push(c);
                    marks = Some(0);
                }
            },
        }
    }
    kept
}

/// The same on one line: for names, addresses and quotations.
pub fn sanitised_line(text: &str) -> String {
    sanitised(text).replace(['\n', '\t'], " ")
}

/// Isolates each line that has right-to-left letters, so that the text before and after it keeps
/// its place. Takes sanitised text.
pub fn isolated(text: &str) -> String {
    if !text.chars().any(is_right_to_left) {
        return text.to_owned();
    }
    let lines = text.split('\n').map(|line| {
        if line.chars().any(is_right_to_left) {
            format!("\u{2068}{line}\u{2069}")
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn is_right_to_left(c: char) -> bool {
    c >= '\u{590}'
        && matches!(
            CodePointMapData::<BidiClass>::new().get(c),
            BidiClass::RightToLeft | BidiClass::ArabicLetter | BidiClass::ArabicNumber
        )
}

/// The bytes of a file after the byte order mark that some programs begin one with.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// The lines of what was read up to a line feed. Windows ends lines with a carriage return before
/// it, and old programs with a carriage return alone.
pub fn lines_of(read: &[u8]) -> impl Iterator<Item = &[u8]> {
    let read = read.strip_suffix(b"\n").unwrap_or(read);
    let read = read.strip_suffix(b"\r").unwrap_or(read);
    read.split(|byte| *byte == b'\r')
}

/// Whether a text has nothing that can be seen. Servers refuse such a message.
pub fn is_blank(text: &str) -> bool {
    !text.chars().any(invisible::is_visible)
}

/// A name for display.
pub fn name(text: &str) -> String {
    isolated(&sanitised_line(text))
}

/// The beginning of a text, on one line of at most `columns` columns, with `…` if something was cut
/// off.
pub fn excerpt(text: &str, columns: usize) -> String {
    // Enough for any width; bounds the work for a long text.
    let begin: String = text.chars().take(columns.saturating_mul(8) + 8).collect();
    let line = sanitised_line(&begin);
    if line.width() <= columns && begin.len() == text.len() {
        return line;
    }
    let mut kept = String::new();
    let mut used = 0;
    for grapheme in line.graphemes(true) {
        used += grapheme.width();
        if used + 1 > columns {
            break;
        }
        kept.push_str(grapheme);
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

        let shown = sanitised(hostile);

        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(!shown.contains('\u{202e}'));
    }

    #[test]
    fn line_feeds_and_tabs_stay() {
        assert_eq!(sanitised("a\n\tb\r\nc"), "a\n\tb\nc");
    }

    #[test]
    fn lines_end_in_three_ways() {
        let lines = |read: &'static str| {
            let lines = lines_of(read.as_bytes());
            lines
                .map(|line| std::str::from_utf8(line).unwrap())
                .collect::<Vec<_>>()
        };

        assert_eq!(lines("one\n"), ["one"]);
        assert_eq!(lines("one\r\n"), ["one"]);
        assert_eq!(lines("one\rtwo\r"), ["one", "two"]);
        assert_eq!(lines("one"), ["one"]);
        assert_eq!(lines("\n"), [""]);
    }

    #[test]
    fn a_text_of_invisible_characters_is_blank() {
        for blank in [
            "",
            " \t\r\n",
            "\u{200b}",
            "\u{2060}\u{ad}",
            "\u{fe0f}",
            "\u{3164}",
            "\u{2800}",
            "\u{feff}",
            "\u{a0}",
            "\u{200e}",
            "\u{e0041}",
            "\u{1d159}",
        ] {
            assert!(is_blank(blank), "{blank:?}");
        }
        // A control character is refused as such, not passed over.
        for seen in ["a", "\u{200b}a", "é", "\u{600}", "👍", "\u{7}", "\u{301}"] {
            assert!(!is_blank(seen), "{seen:?}");
        }
    }

    #[test]
    fn a_name_is_one_line() {
        assert_eq!(sanitised_line("a\nb\tc"), "a b c");
    }

    #[test]
    fn an_excerpt_counts_columns() {
        assert_eq!(excerpt("short", 10), "short");
        assert_eq!(excerpt("日本語日本語", 7), "日本語…");
        assert_eq!(excerpt(&"x".repeat(5000), 4), "xxx…");
    }

    #[test]
    fn characters_without_a_shape_are_shown_as_such() {
        for hidden in [
            '\u{200e}',
            '\u{200f}',
            '\u{61c}',
            '\u{200b}',
            '\u{2060}',
            '\u{feff}',
            '\u{ad}',
            '\u{e0041}',
            '\u{180e}',
            '\u{3164}',
            '\u{115f}',
            '\u{2066}',
            '\u{34f}',
            '\u{fe0f}',
            '\u{e0100}',
            '\u{200d}',
            '\u{200c}',
        ] {
            let text = format!("a{hidden}{hidden}b");
            assert_eq!(sanitised(&text), "a\u{fffd}b", "{hidden:?}");
            assert_eq!(sanitised(&hidden.to_string()), "\u{fffd}", "{hidden:?}");
        }
    }

    #[test]
    fn emoji_keep_what_joins_them() {
        for emoji in ["👨‍👩‍👧‍👦", "❤️", "🏳️‍🌈", "👩🏽‍🚀", "1️⃣", "🇩🇪", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🧑‍🤝‍🧑", "❤️‍🔥"]
        {
            assert_eq!(sanitised(&format!("a{emoji}b")), format!("a{emoji}b"));
        }
    }

    #[test]
    fn tags_hide_nothing_behind_a_flag() {
        let hidden = "🏴\u{e0068}\u{e0069}\u{e0064}\u{e0065}\u{e007f}";

        assert_eq!(sanitised(hidden), "🏴\u{fffd}");
    }

    #[test]
    fn joined_scripts_keep_their_joiners() {
        for word in ["می\u{200c}خواهم", "क्\u{200d}ष", "ශ්\u{200d}රී"] {
            assert_eq!(sanitised(word), word);
        }
    }

    #[test]
    fn marks_on_a_letter_are_bounded() {
        let towering = format!("e{}x", "\u{301}".repeat(3000));

        assert_eq!(
            sanitised(&towering),
            format!("e{}x", "\u{301}".repeat(MARKS))
        );
        for word in ["שָּׁ֑לוֹם", "น้ำ", "Việt", "e\u{301}\u{323}"] {
            assert_eq!(sanitised(word), word);
        }
    }

    #[test]
    fn a_mark_without_a_letter_gets_one() {
        assert_eq!(sanitised("\u{301}a"), "\u{25cc}\u{301}a");
        assert_eq!(sanitised("a\n\u{301}b"), "a\n\u{25cc}\u{301}b");
    }

    #[test]
    fn writing_from_right_to_left_stays_inside() {
        assert_eq!(name("דוד"), "\u{2068}דוד\u{2069}");
        assert_eq!(isolated("hello\nשלום"), "hello\n\u{2068}שלום\u{2069}");
        assert_eq!(isolated("مرحبا 12"), "\u{2068}مرحبا 12\u{2069}");
        assert_eq!(isolated("hello 日本 é"), "hello 日本 é");
    }
}
