//! Pure: the rules of the pager: how much a screenful holds, and what a key means.
//!
//! `prompt` prints and reads keys; `chat` loads what is wanted next, so that memory does not grow
//! with the history.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::layout::RowFormat;
use crate::scrollback::Block;

/// Part of a long text.
#[derive(Debug)]
pub struct Section {
    /// The text, in order.
    pub blocks: Vec<Block>,
    /// Only the last screenful is shown, and the reader is asked after it.
    pub from_end: bool,
    /// The first word of the question asked at the end; `None` if more text follows.
    pub end: Option<&'static str>,
}

/// How the reader left a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagerExit {
    /// The block at the top of the screen, if it is one of this section.
    pub top: Option<usize>,
    /// The first block not shown.
    pub next: usize,
    /// Where the reader wants to go.
    pub next_move: Move,
}

/// Where the reader wants to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Further; the screen has room left and nothing was asked.
    More,
    /// The next screenful.
    Next,
    /// The screenful before.
    Back,
    /// The beginning.
    First,
    /// The end.
    Last,
    /// The next place with these words.
    Find {
        /// As typed.
        words: String,
        /// Towards the beginning.
        backwards: bool,
    },
    /// To the next place with the same words.
    FindAgain,
    /// Nowhere: stop.
    Stop,
}

/// What a key means to the pager.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyMeaning {
    /// Go there.
    Move(Move),
    /// Ask for words to find.
    Ask {
        /// Towards the beginning.
        backwards: bool,
    },
    /// Suspend the program.
    Suspend,
    /// Nothing.
    Nothing,
}

/// Interprets a key.
pub fn meaning(key: KeyEvent) -> KeyMeaning {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c' | 'd') => KeyMeaning::Move(Move::Stop),
            KeyCode::Char('z') => KeyMeaning::Suspend,
            KeyCode::Char('f' | 'v') => KeyMeaning::Move(Move::Next),
            KeyCode::Char('b') => KeyMeaning::Move(Move::Back),
            _ => KeyMeaning::Nothing,
        };
    }
    KeyMeaning::Move(match key.code {
        KeyCode::Char('q') | KeyCode::Esc => Move::Stop,
        KeyCode::Char(' ' | 'f') | KeyCode::Enter | KeyCode::PageDown | KeyCode::Down => Move::Next,
        KeyCode::Char('b') | KeyCode::PageUp | KeyCode::Up => Move::Back,
        KeyCode::Char('g' | '<') | KeyCode::Home => Move::First,
        KeyCode::Char('G' | '>') | KeyCode::End => Move::Last,
        KeyCode::Char('n') => Move::FindAgain,
        KeyCode::Char('/') => return KeyMeaning::Ask { backwards: false },
        KeyCode::Char('?') => return KeyMeaning::Ask { backwards: true },
        _ => return KeyMeaning::Nothing,
    })
}

/// The question below a screenful, shortened to the columns there are.
pub fn question(word: &str, columns: u16) -> String {
    let columns = usize::from(columns);
    let keys = [
        "--{word}-- space: next, b: back, / or ?: search, g or G: begin or end, q: stop",
        "--{word}-- space, b: back, /: search, q: stop",
        "--{word}-- q: stop",
        "--{word}--",
    ];
    let mut forms = keys.iter().map(|keys| keys.replace("{word}", word));
    let fits = forms.find(|form| form.chars().count() < columns);
    fits.unwrap_or_else(|| word.chars().take(columns.saturating_sub(1)).collect())
}

/// The first block of the last screenful.
pub fn last_screenful(blocks: &[Block], format: RowFormat, rows: usize) -> usize {
    let mut used = 0;
    for (at, block) in blocks.iter().enumerate().rev() {
        used += block.rows(format).iter().map(Vec::len).sum::<usize>();
        if used > rows {
            return (at + 1).min(blocks.len() - 1);
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_fits_into_its_row() {
        for columns in 1..100 {
            assert!(question("more", columns).chars().count() < usize::from(columns).max(1));
        }
        assert!(question("more", 80).starts_with("--more-- space: next, b: back"));
    }

    #[test]
    fn the_last_screenful_is_counted_in_rows() {
        let format = RowFormat {
            columns: 10,
            has_codes: true,
        };
        let blocks: Vec<_> = ["a", "bbbbbbbbbbbb", "c", "d"]
            .map(|text| Block::lines(text.into()))
            .into();
        assert_eq!(last_screenful(&blocks, format, 4), 1);
        assert_eq!(last_screenful(&blocks, format, 3), 2);
        assert_eq!(last_screenful(&blocks, format, 9), 0);
        assert_eq!(
            last_screenful(&blocks[..2], format, 1),
            1,
            "never none at all"
        );
        assert_eq!(last_screenful(&[], format, 1), 0);
    }

    #[test]
    fn keys_mean_what_they_mean_in_other_pagers() {
        let of = |code, modifiers| meaning(KeyEvent::new(code, modifiers));
        assert_eq!(
            of(KeyCode::Char('b'), KeyModifiers::NONE),
            KeyMeaning::Move(Move::Back)
        );
        assert_eq!(
            of(KeyCode::Char('/'), KeyModifiers::NONE),
            KeyMeaning::Ask { backwards: false }
        );
        assert_eq!(
            of(KeyCode::Char('c'), KeyModifiers::CONTROL),
            KeyMeaning::Move(Move::Stop)
        );
        assert_eq!(
            of(KeyCode::Char('x'), KeyModifiers::NONE),
            KeyMeaning::Nothing
        );
    }
}
