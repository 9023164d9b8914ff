//! What people write: the text of a message and the key that makes sending it twice harmless.

/// Most Unicode scalar values of a message where the setting says nothing else.
pub const DEFAULT_MAX_TEXT_CHARS: usize = 4_000;

/// Why a text is not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAText {
    /// Nothing is left after trimming.
    #[error("a message has at least one character that is not white space")]
    Empty,
    /// More characters than the setting allows.
    #[error("a message has at most {max} characters, this one has {found}")]
    TooLong {
        /// The setting.
        max: usize,
        /// What was given.
        found: usize,
    },
    /// A control character other than line feed and tab.
    #[error("a message has no control characters but line feed and tab")]
    Control,
}

/// The text of a message: trimmed, not empty, within the bound, printable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageText(String);

impl MessageText {
    /// Trims and checks what a person wrote.
    pub fn parse(text: &str, max_chars: usize) -> Result<Self, NotAText> {
        let text = text.trim();
        let found = text.chars().count();
        if found == 0 {
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

    /// The text, to keep.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// A sender's own name for one message: 1 to 128 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// Why a text is not an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 1 to 128 printable ASCII characters")]
pub struct NotAKey;

impl IdempotencyKey {
    /// Checks a key.
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
        let text = MessageText::parse("  héllo\n\tyou  ", 10);

        assert_eq!(
            text.map(MessageText::into_string),
            Ok("héllo\n\tyou".into())
        );
        assert_eq!(
            MessageText::parse("héllo", 4),
            Err(NotAText::TooLong { max: 4, found: 5 })
        );
        assert_eq!(MessageText::parse(" \n ", 10), Err(NotAText::Empty));
        assert_eq!(MessageText::parse("a\u{1b}[2J", 10), Err(NotAText::Control));
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
