//! Pure: characters that have no shape of their own, and where they are needed.
//!
//! Unicode calls them default-ignorable. A terminal draws nothing for them, so they could hide in a
//! name or a text; they stay only where they join visible characters.

use icu_properties::props::{
    DefaultIgnorableCodePoint, Emoji, EmojiModifier, ExtendedPictographic, GeneralCategory,
    PrependedConcatenationMark,
};
use icu_properties::{CodePointMapData, CodePointSetData};

const NON_JOINER: char = '\u{200c}';
const JOINER: char = '\u{200d}';
const AS_TEXT: char = '\u{fe0e}';
const AS_EMOJI: char = '\u{fe0f}';
const BLACK_FLAG: char = '\u{1f3f4}';
/// The flags of England, Scotland and Wales, the only ones spelled with tag characters.
const TAGGED_FLAGS: [&str; 3] = [
    "\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    "\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}",
];

/// How a character is treated.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is visible.
    Shown,
    /// It is invisible, and joins visible characters.
    Kept,
    /// It is invisible, or a control character.
    Hidden,
}

/// Whether a character is visible by itself, as the servers judge it.
pub(super) fn is_visible(c: char) -> bool {
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

/// Classifies the character `c` at the byte `at` of `text`; `next` follows it.
pub(super) fn kind(text: &str, at: usize, c: char, next: Option<char>) -> Kind {
    if c.is_ascii() {
        return if c.is_ascii_control() {
            Kind::Hidden
        } else {
            Kind::Shown
        };
    }
    if c.is_control() {
        return Kind::Hidden;
    }
    if !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c) {
        return Kind::Shown;
    }
    let before = text[..at].chars().next_back();
    let is_of_use = match c {
        JOINER => joins_emoji(text, at, next) || joins_letters(before, next),
        NON_JOINER => joins_letters(before, next),
        AS_TEXT | AS_EMOJI => before.is_some_and(is_emoji),
        '\u{e0020}'..='\u{e007f}' => is_tag_of_a_flag(text, at),
        _ => false,
    };
    if is_of_use { Kind::Kept } else { Kind::Hidden }
}

fn joins_emoji(text: &str, at: usize, next: Option<char>) -> bool {
    let before = text[..at].chars().rev().find(|c| *c != AS_EMOJI);
    before
        .is_some_and(|c| is_pictographic(c) || CodePointSetData::new::<EmojiModifier>().contains(c))
        && next.is_some_and(is_pictographic)
}

/// Whether both belong to scripts with joining letters: Arabic to Sinhala, Mongolian and similar.
fn joins_letters(before: Option<char>, next: Option<char>) -> bool {
    let joins = |c: char| matches!(c, '\u{600}'..='\u{dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{18af}');
    before.is_some_and(joins) && next.is_some_and(joins)
}

fn is_tag_of_a_flag(text: &str, at: usize) -> bool {
    let is_tag = |c: char| matches!(c, '\u{e0020}'..='\u{e007f}');
    let begin = text[..at].trim_end_matches(is_tag);
    let tags = &text[begin.len()..];
    begin.ends_with(BLACK_FLAG)
        && TAGGED_FLAGS
            .iter()
            .any(|flag| tags.starts_with(flag) && at < begin.len() + flag.len())
}

fn is_emoji(c: char) -> bool {
    CodePointSetData::new::<Emoji>().contains(c)
}

fn is_pictographic(c: char) -> bool {
    CodePointSetData::new::<ExtendedPictographic>().contains(c)
}
