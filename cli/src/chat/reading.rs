//! `p` in a terminal: the whole history, a screenful at a time, in both directions.
//!
//! Keeps one page of messages in memory, however long the history is.

use causeway_client::{CallError, Client, Message, Page, Window};

use super::Chat;
use crate::output::Output;
use crate::pager::{Move, PagerExit, Section};
use crate::pages::first_position;
use crate::text::sanitised;

/// The page size for reading.
const SHOWN: u16 = 100;
/// The page size for searching.
const SEARCHED: u16 = 500;
/// The messages of a screenful if the height of the window is unknown.
const SCREENFUL: u16 = 24;

/// Where a reader left the history of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bookmark {
    group: String,
    /// The positions of the first message on the screen, and of the last one shown.
    first: String,
    last: String,
}

impl Bookmark {
    fn update(&mut self, messages: &[Message], exit: &PagerExit) {
        let position = |at: usize| messages.get(at).map(|message| message.position.clone());
        if let Some(first) = exit.top.and_then(position) {
            self.first = first;
        }
        if let Some(last) = exit.next.checked_sub(1).and_then(position) {
            self.last = last;
        }
    }
}

/// What the reader is shown next.
enum Next {
    /// The messages after a position.
    After(String),
    /// These messages, from the first on; whether more follow.
    Forward(Vec<Message>, bool),
    /// The last screenful of these messages; whether more follow.
    Screenful(Vec<Message>, bool),
    /// Only the question, with this first word.
    Question(&'static str),
}

/// Messages that are handed to the pager.
struct Batch {
    messages: Vec<Message>,
    has_more: bool,
    /// As in [`Section`].
    from_end: bool,
    end: Option<&'static str>,
}

#[derive(Debug, Clone)]
struct Search {
    words: String,
    backwards: bool,
}

impl Search {
    /// The first match in the direction of the search.
    fn find_in(&self, messages: &[Message]) -> Option<usize> {
        let words = self.words.to_lowercase();
        let matches = |message: &Message| {
            sanitised(&message.text).to_lowercase().contains(&words)
                || message.author.name.to_lowercase().contains(&words)
        };
        if self.backwards {
            messages.iter().rposition(matches)
        } else {
            messages.iter().position(matches)
        }
    }
}

impl Chat {
    /// Pages through the history: from where the reader left it, else from its beginning.
    pub(super) async fn read_history(&mut self, client: &Client, group: &str) {
        let newest = match client.page::<Page>(group, Window::Newest, 1).await {
            Ok(page) => page.messages.into_iter().next(),
            Err(error) => return self.call_failed(&error),
        };
        let Some(newest) = newest else {
            return self.note(&format!("no messages in {group} yet"));
        };
        let start = first_position(&newest.position);
        let mut reader = Reader {
            client,
            bookmark: self.open_bookmark(group, &start, &newest),
            start,
            search: None,
            has_jumped: false,
        };
        if let Err(error) = self.read(&mut reader).await {
            self.call_failed(&error);
        }
        self.bookmark = Some(reader.bookmark);
    }

    fn open_bookmark(&mut self, group: &str, start: &str, newest: &Message) -> Bookmark {
        let left = self.bookmark.take().filter(|left| left.group == group);
        if let Some(bookmark) = left.filter(|left| left.last < newest.position) {
            self.note("continuing where you left off; g goes to the beginning, b back");
            return bookmark;
        }
        self.state.numbers.restart();
        Bookmark {
            group: group.to_owned(),
            first: start.to_owned(),
            last: start.to_owned(),
        }
    }

    async fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), CallError> {
        let mut next = Some(Next::After(reader.bookmark.last.clone()));
        while let Some(wanted) = next {
            let batch = reader.load(wanted).await?;
            let numbers = self.numbers_for(&batch.messages);
            let section = self.section(&batch, &numbers);
            let Some(exit) = self.output.page(section).await else {
                return Ok(());
            };
            self.assign_shown(&batch, &numbers, &exit);
            reader.bookmark.update(&batch.messages, &exit);
            next = self.after_move(reader, batch, exit).await?;
        }
        Ok(())
    }

    /// The numbers of messages that are about to be shown; they are assigned once they are.
    fn numbers_for(&self, messages: &[Message]) -> Vec<u64> {
        let ids = messages.iter().map(|message| message.id.as_str());
        self.state.numbers.propose(ids)
    }

    fn section(&mut self, batch: &Batch, numbers: &[u64]) -> Section {
        let blocks = numbers
            .iter()
            .zip(&batch.messages)
            .map(|(number, message)| self.block_as(*number, message));
        Section {
            blocks: blocks.collect(),
            from_end: batch.from_end,
            end: batch.end,
        }
    }

    fn assign_shown(&mut self, batch: &Batch, numbers: &[u64], exit: &PagerExit) {
        let first_shown = exit.top.filter(|_| batch.from_end).unwrap_or(0);
        let shown = numbers.iter().zip(&batch.messages).take(exit.next);
        for (number, message) in shown.skip(first_shown) {
            self.state.numbers.assign(*number, &message.id);
        }
    }

    /// What the reader's move leads to; `None` when the reader leaves.
    async fn after_move(
        &mut self,
        reader: &mut Reader<'_>,
        batch: Batch,
        exit: PagerExit,
    ) -> Result<Option<Next>, CallError> {
        let moves_on = matches!(exit.next_move, Move::More | Move::Next);
        reader.has_jumped |= !moves_on;
        Ok(Some(match exit.next_move {
            Move::Stop => return Ok(None),
            Move::More | Move::Next if exit.next < batch.messages.len() => {
                let rest = batch.messages.into_iter().skip(exit.next).collect();
                Next::Forward(rest, batch.has_more)
            }
            Move::More | Move::Next if !batch.has_more => return Ok(None),
            Move::More | Move::Next => Next::After(reader.bookmark.last.clone()),
            Move::First => Next::After(reader.start.clone()),
            Move::Last => reader.last().await?,
            Move::Back => reader.back().await?,
            Move::Find { words, backwards } => {
                reader.search = Some(Search { words, backwards });
                self.find(reader).await?
            }
            Move::FindAgain => self.find(reader).await?,
        }))
    }

    /// Searches page by page until there is a match, the reader stops, or the history ends.
    async fn find(&mut self, reader: &Reader<'_>) -> Result<Next, CallError> {
        let Some(search) = &reader.search else {
            return Ok(Next::Question("no search yet; type / and words"));
        };
        let bookmark = &reader.bookmark;
        let (mut position, backwards) = if search.backwards {
            (bookmark.first.clone(), true)
        } else {
            (bookmark.last.clone(), false)
        };
        let mut searched = 0;
        loop {
            let page = if backwards {
                reader.before(&position, SEARCHED).await?
            } else {
                reader.after(&position, SEARCHED).await?
            };
            if let Some(at) = search.find_in(&page.messages) {
                let rest = page.messages.into_iter().skip(at).collect();
                return Ok(Next::Forward(rest, page.has_after));
            }
            searched += page.messages.len();
            let edge = if backwards {
                page.messages.first().filter(|_| page.has_before)
            } else {
                page.messages.last().filter(|_| page.has_after)
            };
            let Some(edge) = edge else {
                return Ok(Next::Question("not found"));
            };
            position.clone_from(&edge.position);
            let progress = format!("searching, {searched} messages so far; q stops");
            if !self.output.progress(progress).await {
                return Ok(Next::Question("stopped"));
            }
        }
    }
}

struct Reader<'a> {
    client: &'a Client,
    bookmark: Bookmark,
    /// The position before every message.
    start: String,
    search: Option<Search>,
    /// Whether the reader has done more than read on. Otherwise the end of the history ends `p`.
    has_jumped: bool,
}

impl Reader<'_> {
    async fn load(&self, next: Next) -> Result<Batch, CallError> {
        Ok(match next {
            Next::After(position) => {
                let page = self.after(&position, SHOWN).await?;
                self.forward(page.messages, page.has_after)
            }
            Next::Forward(messages, has_more) => self.forward(messages, has_more),
            Next::Screenful(messages, has_more) => Batch {
                messages,
                has_more,
                from_end: true,
                end: Some(if has_more { "more" } else { "end" }),
            },
            Next::Question(word) => Batch {
                messages: Vec::new(),
                has_more: true,
                from_end: false,
                end: Some(word),
            },
        })
    }

    fn forward(&self, messages: Vec<Message>, has_more: bool) -> Batch {
        Batch {
            messages,
            has_more,
            from_end: false,
            end: (!has_more && self.has_jumped).then_some("end"),
        }
    }

    async fn after(&self, position: &str, limit: u16) -> Result<Page, CallError> {
        self.client
            .page(&self.bookmark.group, Window::After(position), limit)
            .await
    }

    async fn before(&self, position: &str, limit: u16) -> Result<Page, CallError> {
        self.client
            .page(&self.bookmark.group, Window::Before(position), limit)
            .await
    }

    async fn back(&self) -> Result<Next, CallError> {
        let page = self.before(&self.bookmark.first, screenful()).await?;
        Ok(if page.messages.is_empty() {
            Next::Question("begin")
        } else {
            Next::Screenful(page.messages, true)
        })
    }

    async fn last(&self) -> Result<Next, CallError> {
        let page: Page = self
            .client
            .page(&self.bookmark.group, Window::Newest, screenful())
            .await?;
        Ok(Next::Screenful(page.messages, false))
    }
}

/// At most as many messages as fit into the window, so that unseen messages get no numbers.
fn screenful() -> u16 {
    match Output::height() {
        0 => SCREENFUL,
        height => height.saturating_sub(1).clamp(1, SEARCHED),
    }
}
