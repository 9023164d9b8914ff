//! User input: the text of a message, and the idempotency key that makes a retry harmless.

use std::borrow::Cow;

use icu_properties::props::{
    DefaultIgnorableCodePoint, GeneralCategory, PrependedConcatenationMark,
};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Default maximum length of a message, in Unicode scalar values.
pub const DEFAULT_MAX_TEXT_CHARS: usize = 4_000;

/// Why a text is not a valid message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAText {
    /// No visible characters.
    #[error("a message has at least one character that can be seen")]
    Empty,
    /// More characters than the setting allows.
    #[error("a message has at most {max} characters, this one has {found}")]
    TooLong {
        /// The configured maximum.
        max: usize,
        /// The length of the text.
        found: usize,
    },
    /// A control character other than line feed and tab.
    #[error("a message has no control characters but line feed and tab")]
    Control,
}

/// The text of a message: printable, trimmed, not blank, within the length limit, with line feeds
/// as line ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageText(String);

impl MessageText {
    /// Converts CR LF and CR to line feeds, trims white space at the end and blank lines at the
    /// start, and validates the rest. The first line keeps its indentation.
    pub fn parse(text: &str, max_chars: usize) -> Result<Self, NotAText> {
        let text = with_line_feeds(text);
        let text = without_blank_edges(&text);
        let found = text.chars().count();
        if !text.chars().any(is_visible) {
            return Err(NotAText::Empty);
        }
        if found > max_chars {
            return Err(NotAText::TooLong {
                max: max_chars,
                found,
            });
        }
        if text
            .chars()
            .any(|c| c.is_control() && c != '\n' && c != '\t')
        {
            return Err(NotAText::Control);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, as an owned string.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Converts line ends: Windows, mail and cron use CR LF, some old programs CR.
fn with_line_feeds(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        text.replace("\r\n", "\n").replace('\r', "\n").into()
    } else {
        text.into()
    }
}

fn without_blank_edges(text: &str) -> &str {
    let text = text.trim_end();
    let first_shown = text.len() - text.trim_start().len();
    match text[..first_shown].rfind('\n') {
        Some(line_end) => &text[line_end + 1..],
        None => text,
    }
}

/// Whether a character is visible. Control characters count as visible, so that a text of them
/// alone is refused as [`NotAText::Control`].
fn is_visible(c: char) -> bool {
    const BLANKS_BY_SHAPE: [char; 2] = ['\u{2800}', '\u{1d159}'];
    if c.is_ascii() {
        return !c.is_ascii_whitespace();
    }
    let is_format = || {
        CodePointMapData::<GeneralCategory>::new().get(c) == GeneralCategory::Format
            // For example the Arabic number sign, which spans the digits after it.
            && !CodePointSetData::new::<PrependedConcatenationMark>().contains(c)
    };
    !(c.is_whitespace()
        || BLANKS_BY_SHAPE.contains(&c)
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || is_format())
}

/// A client's unique key for one message: 1 to 128 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// A text that is not a valid idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 1 to 128 printable ASCII characters")]
pub struct NotAKey;

impl IdempotencyKey {
    /// Validates a key.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let is_printable = |b: u8| (b' '..=b'~').contains(&b);
        if (1..=128).contains(&text.len()) && text.bytes().all(is_printable) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAKey)
        }
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_trimmed_and_counted_in_characters() {
        assert_eq!(parsed("\n \n  héllo\n\tyou  "), Ok("  héllo\n\tyou".into()));
        assert_eq!(
            MessageText::parse("héllo", 4),
            Err(NotAText::TooLong { max: 4, found: 5 })
        );
        assert_eq!(parsed("a\u{1b}[2J"), Err(NotAText::Control));
        assert_eq!(parsed("\u{7}"), Err(NotAText::Control));
    }

    #[test]
    fn every_line_end_is_a_line_feed() {
        for (sent, kept) in [
            ("a\r\nb\r\n", "a\nb"),
            ("a\rb\r", "a\nb"),
            ("a\r\n\r\nb", "a\n\nb"),
            ("a\r\rb\n\rc", "a\n\nb\n\nc"),
            ("\r\n\r  a", "  a"),
        ] {
            assert_eq!(parsed(sent), Ok(kept.into()), "{sent:?}");
        }
    }

    #[test]
    fn the_first_line_keeps_its_indentation() {
        for (sent, kept) in [
            ("    indented\n  two", "    indented\n  two"),
            (" \t\n\u{a0}\n\tcode\n\n", "\tcode"),
            ("\u{3000}quoted\u{3000}", "\u{3000}quoted"),
        ] {
            assert_eq!(parsed(sent), Ok(kept.into()), "{sent:?}");
        }
    }

    #[test]
    fn an_invisible_text_is_no_message() {
        let blank = "\u{200b}\u{2060}\u{ad}\u{fe0f}\u{3164}\u{2800}\u{feff}\u{200d}\u{202e}\u{115f}\
                     \u{ffa0}\u{34f}\u{180e}\u{e0020}\u{e0100}\u{1d159}\u{13430}\u{fff9}\u{2028}\u{a0} \n\t";
        for c in blank.chars() {
            assert_eq!(parsed(&c.to_string()), Err(NotAText::Empty), "{c:?}");
        }
        assert_eq!(parsed(blank), Err(NotAText::Empty));
        assert_eq!(parsed(""), Err(NotAText::Empty));
        for seen in ["\u{200b}a", "☺\u{fe0f}", "\u{301}", "\u{600}1", "\u{fffd}"] {
            assert_eq!(parsed(seen), Ok(seen.into()), "{seen:?}");
        }
    }

    fn parsed(text: &str) -> Result<String, NotAText> {
        MessageText::parse(text, 100).map(MessageText::into_string)
    }

    #[test]
    fn a_key_is_short_and_printable() {
        assert!(IdempotencyKey::parse("k 1~").is_ok());
        assert!(IdempotencyKey::parse(&"k".repeat(128)).is_ok());
        assert_eq!(IdempotencyKey::parse(""), Err(NotAKey));
        assert_eq!(IdempotencyKey::parse(&"k".repeat(129)), Err(NotAKey));
        assert_eq!(IdempotencyKey::parse("é"), Err(NotAKey));
    }
}
