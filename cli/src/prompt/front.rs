//! What reedline asks its user for: what stands in front of the line, and how the line looks.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use reedline::{
    Highlighter, Prompt, PromptEditMode, PromptHistorySearch, SimpleMatchHighlighter, StyledText,
};

pub(super) const INDICATOR: &str = "> ";

/// What stands in front of the line.
pub(super) struct Front(pub(super) String);

impl Prompt for Front {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0)
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _mode: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed(INDICATOR)
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_history_search_indicator(&self, _search: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Borrowed(INDICATOR)
    }
}

/// Shows the line as it is, and keeps for which width: it is asked at every painting.
pub(super) struct Unadorned(pub(super) Arc<AtomicU16>);

impl Highlighter for Unadorned {
    fn highlight(&self, line: &str, cursor: usize) -> StyledText {
        let columns = crossterm::terminal::size().map_or(0, |(columns, _)| columns);
        self.0.store(columns, Ordering::Relaxed);
        SimpleMatchHighlighter::default().highlight(line, cursor)
    }
}
