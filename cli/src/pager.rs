//! Pure: a long text, one screenful at a time: how much of it is shown, and what a key asks for.
//!
//! `prompt` prints and reads the keys; `chat` fetches what is asked for next, so that memory does
//! not grow with the history.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::layout::Page;
use crate::paper::Block;

/// A part of the text.
#[derive(Debug)]
pub struct Sheet {
    /// In order.
    pub blocks: Vec<Block>,
    /// Only the last screenful of it is shown, after which the reader is asked.
    pub from_end: bool,
    /// Nothing follows it, so that the reader is asked after it; the question's first word.
    pub end: Option<&'static str>,
}

/// What came of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The block with which the screen begins, where that is one of this part.
    pub top: Option<usize>,
    /// The first block not shown.
    pub next: usize,
    /// What the reader wants.
    pub wish: Wish,
}

/// What the reader wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// There is room left on the screen: nothing was asked.
    More,
    /// The next screenful.
    Next,
    /// The screenful before.
    Back,
    /// The beginning.
    First,
    /// The end.
    Last,
    /// Where these words stand; in what follows, or in what came before.
    Find {
        /// As typed.
        words: String,
        /// Towards the beginning.
        backwards: bool,
    },
    /// The same words again.
    FindAgain,
    /// No more.
    Stop,
}

/// What a key means while a screenful is read.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Go there.
    Wish(Wish),
    /// Ask for words to find.
    Ask {
        /// Towards the beginning.
        backwards: bool,
    },
    /// Suspend the program.
    Suspend,
    /// None.
    Nothing,
}

/// Reads a key.
pub fn meaning(key: KeyEvent) -> Meaning {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c' | 'd') => Meaning::Wish(Wish::Stop),
            KeyCode::Char('z') => Meaning::Suspend,
            KeyCode::Char('f' | 'v') => Meaning::Wish(Wish::Next),
            KeyCode::Char('b') => Meaning::Wish(Wish::Back),
            _ => Meaning::Nothing,
        };
    }
    Meaning::Wish(match key.code {
        KeyCode::Char('q') | KeyCode::Esc => Wish::Stop,
        KeyCode::Char(' ' | 'f') | KeyCode::Enter | KeyCode::PageDown | KeyCode::Down => Wish::Next,
        KeyCode::Char('b') | KeyCode::PageUp | KeyCode::Up => Wish::Back,
        KeyCode::Char('g' | '<') | KeyCode::Home => Wish::First,
        KeyCode::Char('G' | '>') | KeyCode::End => Wish::Last,
        KeyCode::Char('n') => Wish::FindAgain,
        KeyCode::Char('/') => return Meaning::Ask { backwards: false },
        KeyCode::Char('?') => return Meaning::Ask { backwards: true },
        _ => return Meaning::Nothing,
    })
}

/// The question below a screenful, in so many columns.
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

/// The first of the blocks of which the last screenful consists.
pub fn last_screenful(blocks: &[Block], page: Page, rows: usize) -> usize {
    let mut used = 0;
    for (at, block) in blocks.iter().enumerate().rev() {
        used += block.rows(page).iter().map(Vec::len).sum::<usize>();
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
        let page = Page {
            columns: 10,
            has_codes: true,
        };
        let blocks: Vec<_> = ["a", "bbbbbbbbbbbb", "c", "d"]
            .map(|text| Block::lines(text.into()))
            .into();
        assert_eq!(last_screenful(&blocks, page, 4), 1);
        assert_eq!(last_screenful(&blocks, page, 3), 2);
        assert_eq!(last_screenful(&blocks, page, 9), 0);
        assert_eq!(
            last_screenful(&blocks[..2], page, 1),
            1,
            "never none at all"
        );
        assert_eq!(last_screenful(&[], page, 1), 0);
    }

    #[test]
    fn keys_mean_what_they_mean_in_other_pagers() {
        let of = |code, modifiers| meaning(KeyEvent::new(code, modifiers));
        assert_eq!(
            of(KeyCode::Char('b'), KeyModifiers::NONE),
            Meaning::Wish(Wish::Back)
        );
        assert_eq!(
            of(KeyCode::Char('/'), KeyModifiers::NONE),
            Meaning::Ask { backwards: false }
        );
        assert_eq!(
            of(KeyCode::Char('c'), KeyModifiers::CONTROL),
            Meaning::Wish(Wish::Stop)
        );
        assert_eq!(of(KeyCode::Char('x'), KeyModifiers::NONE), Meaning::Nothing);
    }
}
