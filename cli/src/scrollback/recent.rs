//! Pure: the blocks printed last, so that they can be laid out anew when the terminal has wrapped
//! them to another width.

use std::collections::VecDeque;

use super::Block;
use crate::layout::cells;

/// The number of blocks kept: more than a window shows.
const KEPT: usize = 256;

/// The blocks printed last.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Each with the output written for it.
    blocks: VecDeque<(Block, String)>,
}

impl Recent {
    pub(super) fn push(&mut self, block: Block, written: String) {
        if self.blocks.len() == KEPT {
            self.blocks.pop_front();
        }
        self.blocks.push_back((block, written));
    }

    /// Drops the last block, which is being replaced.
    pub(super) fn pop(&mut self) {
        self.blocks.pop_back();
    }

    pub(super) fn forget(&mut self) {
        self.blocks.clear();
    }

    /// Takes the last blocks that fit into `room` rows when wrapped at `columns`, and returns how
    /// many rows they have. Blocks above them stay as written, until a larger window has room for
    /// them.
    pub(super) fn take_last(&mut self, columns: u16, room: u16) -> (u16, Vec<Block>) {
        let mut used = 0_u16;
        let mut count = 0;
        for (_, written) in self.blocks.iter().rev() {
            match rows_at(written, columns).map(|rows| used.saturating_add(rows)) {
                Some(sum) if sum <= room => used = sum,
                _ => break,
            }
            count += 1;
        }
        let last = self.blocks.split_off(self.blocks.len() - count);
        (used, last.into_iter().map(|(block, _)| block).collect())
    }
}

/// The rows of `written` on a terminal that wraps lines at `columns`; `None` if that is not
/// certain.
fn rows_at(written: &str, columns: u16) -> Option<u16> {
    let mut rows = 0_u16;
    for line in written.trim_end_matches("\r\n").split("\r\n") {
        rows = rows.saturating_add(1);
        let mut column = 0;
        for cell in cells(line) {
            if !cell.is_certain || cell.text.ends_with('G') && cell.text.starts_with('\u{1b}') {
                return None;
            }
            if column + cell.columns > columns {
                rows = rows.saturating_add(1);
                column = 0;
            }
            column += cell.columns;
        }
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_as_a_terminal_wraps_them() {
        assert_eq!(rows_at("12345\r\n", 5), Some(1));
        assert_eq!(rows_at("12345\r\n123456\r\n", 5), Some(3));
        assert_eq!(rows_at("\u{1b}[2m1234\u{1b}[0m日\r\n", 5), Some(2));
        assert_eq!(rows_at("👨‍👩‍👧\u{1b}[7G\r\n", 5), None);
    }

    #[test]
    fn only_the_last_blocks_that_fit_are_taken() {
        let mut recent = Recent::default();
        for text in ["one", "two two", "three"] {
            recent.push(Block::lines(text.into()), format!("{text}\r\n"));
        }

        let (rows, blocks) = recent.take_last(5, 3);

        let texts: Vec<_> = blocks.into_iter().map(|block| block.text).collect();
        assert_eq!((rows, texts), (3, vec!["two two".into(), "three".into()]));
        // A larger window shows what stands above them, too.
        let (rows, blocks) = recent.take_last(5, 9);
        assert_eq!((rows, blocks.len()), (1, 1));
    }
}
