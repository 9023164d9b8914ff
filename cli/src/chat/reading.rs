//! `p` in a terminal: the whole history, a screenful at a time, in both directions.
//!
//! Holds one page of messages and the place on the screen, however long the history is.

use causeway_client::{CallError, Client, Message, Page, Window};

use super::Chat;
use crate::output::Output;
use crate::pager::{Sheet, Wish};
use crate::pages::first_place;
use crate::text::harmless;

/// How many messages are asked for to be shown, and to be searched.
const SHOWN: u16 = 100;
/// A screenful where nobody knows the height of the window.
const SCREENFUL: u16 = 24;
const SEARCHED: u16 = 500;

/// Where a reader is in the history of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    group: String,
    /// The positions of the first message on the screen, and of the last one shown.
    first: String,
    last: String,
}

/// What is shown next.
enum Next {
    /// These, in order; whether others follow them.
    Forward(Vec<Message>, bool),
    /// The last of these; whether others come after them.
    Screenful(Vec<Message>, bool),
    /// What follows a position.
    After(String),
    /// The reader is asked again, with this first.
    Stay(&'static str),
}

/// Words to find.
#[derive(Debug, Clone)]
struct Search {
    words: String,
    backwards: bool,
}

impl Chat {
    /// Pages through the history: from where the reader left it, else from its beginning.
    pub(super) async fn read_history(&mut self, client: &Client, group: &str) {
        let newest = match client.page::<Page>(group, Window::Newest, 1).await {
            Ok(page) => page.messages.into_iter().next(),
            Err(error) => return self.failed(&error),
        };
        let Some(newest) = newest else {
            return self.note(&format!("no messages in {group} yet"));
        };
        let start = first_place(&newest.position);
        let place = match self.reading.take().filter(|place| place.group == group) {
            Some(place) if place.last < newest.position => {
                self.note("on from where you left; g goes to the beginning, b back");
                place
            }
            _ => {
                self.state.numbers.count_anew();
                Place {
                    group: group.to_owned(),
                    first: start.clone(),
                    last: start.clone(),
                }
            }
        };
        let mut reader = Reader {
            client,
            place,
            start,
            search: None,
        };
        if let Err(error) = self.read(&mut reader).await {
            self.failed(&error);
        }
        self.reading = Some(reader.place);
    }

    async fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), CallError> {
        let mut next = Next::After(reader.place.last.clone());
        let mut has_moved = false;
        loop {
            let (messages, sheet, goes_on) = match next {
                Next::After(position) => {
                    let page = reader.after(&position, SHOWN).await?;
                    next = Next::Forward(page.messages, page.has_after);
                    continue;
                }
                Next::Forward(messages, goes_on) => {
                    let sheet = self.sheet(&messages, false);
                    (messages, sheet, goes_on)
                }
                Next::Screenful(messages, goes_on) => {
                    let mut sheet = self.sheet(&messages, true);
                    sheet.end = Some(if goes_on { "more" } else { "end" });
                    has_moved = true;
                    (messages, sheet, goes_on)
                }
                Next::Stay(word) => {
                    has_moved = true;
                    let sheet = Sheet {
                        blocks: Vec::new(),
                        from_end: false,
                        end: Some(word),
                    };
                    (Vec::new(), sheet, true)
                }
            };
            let from_end = sheet.from_end;
            let sheet = Sheet {
                // Who has only read on is at the end of the history when there is no more of it.
                end: sheet.end.or((!goes_on && has_moved).then_some("end")),
                ..sheet
            };
            let numbers = self.numbers_for(&messages);
            let Some(turn) = self.output.page(sheet).await else {
                return Ok(());
            };
            let first_shown = turn.top.filter(|_| from_end).unwrap_or(0);
            let shown = numbers.iter().zip(&messages).take(turn.next);
            for (number, message) in shown.skip(first_shown) {
                self.state.numbers.give(*number, &message.id);
            }
            let position = |at: usize| messages.get(at).map(|message| message.position.clone());
            if let Some(first) = turn.top.and_then(position) {
                reader.place.first = first;
            }
            if let Some(last) = turn.next.checked_sub(1).and_then(position) {
                reader.place.last = last;
            }
            next = match turn.wish {
                Wish::Stop => return Ok(()),
                Wish::More | Wish::Next if turn.next < messages.len() => {
                    let rest = messages.into_iter().skip(turn.next).collect();
                    Next::Forward(rest, goes_on)
                }
                Wish::More | Wish::Next if !goes_on => return Ok(()),
                Wish::More | Wish::Next => Next::After(reader.place.last.clone()),
                Wish::First => {
                    has_moved = true;
                    Next::After(reader.start.clone())
                }
                Wish::Last => reader.last().await?,
                Wish::Back => reader.back().await?,
                Wish::Find { words, backwards } => {
                    reader.search = Some(Search { words, backwards });
                    has_moved = true;
                    self.find(reader).await?
                }
                Wish::FindAgain => {
                    has_moved = true;
                    self.find(reader).await?
                }
            };
        }
    }

    /// The numbers of messages that are about to be shown; they count once they are.
    fn numbers_for(&self, messages: &[Message]) -> Vec<u64> {
        let ids = messages.iter().map(|message| message.id.as_str());
        self.state.numbers.propose(ids)
    }

    fn sheet(&mut self, messages: &[Message], from_end: bool) -> Sheet {
        let numbers = self.numbers_for(messages).into_iter();
        let blocks = numbers
            .zip(messages)
            .map(|(number, message)| self.block_as(number, message));
        Sheet {
            blocks: blocks.collect(),
            from_end,
            end: None,
        }
    }

    /// Goes through the history until the words are found, the reader has enough, or it ends.
    async fn find(&mut self, reader: &mut Reader<'_>) -> Result<Next, CallError> {
        let Some(search) = reader.search.clone() else {
            return Ok(Next::Stay("nothing searched yet; / and words"));
        };
        let words = search.words.to_lowercase();
        let fits = |message: &Message| {
            harmless(&message.text).to_lowercase().contains(&words)
                || message.author.name.to_lowercase().contains(&words)
        };
        let mut place = if search.backwards {
            reader.place.first.clone()
        } else {
            reader.place.last.clone()
        };
        let mut searched = 0;
        loop {
            let page = if search.backwards {
                reader.before(&place, SEARCHED).await?
            } else {
                reader.after(&place, SEARCHED).await?
            };
            let found = if search.backwards {
                page.messages.iter().rposition(fits)
            } else {
                page.messages.iter().position(fits)
            };
            if let Some(at) = found {
                let rest = page.messages.into_iter().skip(at).collect();
                return Ok(Next::Forward(rest, page.has_after));
            }
            searched += page.messages.len();
            let (edge, goes_on) = if search.backwards {
                (page.messages.first(), page.has_before)
            } else {
                (page.messages.last(), page.has_after)
            };
            match edge {
                Some(message) if goes_on => place.clone_from(&message.position),
                _ => return Ok(Next::Stay("not found")),
            }
            let working = format!("searching, {searched} messages so far; q stops");
            if !self.output.working(working).await {
                return Ok(Next::Stay("stopped"));
            }
        }
    }
}

struct Reader<'a> {
    client: &'a Client,
    place: Place,
    /// Before every message.
    start: String,
    search: Option<Search>,
}

impl Reader<'_> {
    async fn after(&self, position: &str, limit: u16) -> Result<Page, CallError> {
        self.client
            .page(&self.place.group, Window::After(position), limit)
            .await
    }

    async fn before(&self, position: &str, limit: u16) -> Result<Page, CallError> {
        self.client
            .page(&self.place.group, Window::Before(position), limit)
            .await
    }

    async fn back(&self) -> Result<Next, CallError> {
        let page = self.before(&self.place.first, screenful()).await?;
        Ok(if page.messages.is_empty() {
            Next::Stay("begin")
        } else {
            Next::Screenful(page.messages, true)
        })
    }

    async fn last(&self) -> Result<Next, CallError> {
        let page: Page = self
            .client
            .page(&self.place.group, Window::Newest, screenful())
            .await?;
        Ok(Next::Screenful(page.messages, false))
    }
}

/// No more than fit into the window, so that no numbers are given to messages that are not shown.
fn screenful() -> u16 {
    match Output::height() {
        0 => SCREENFUL,
        height => height.saturating_sub(1).clamp(1, SEARCHED),
    }
}
