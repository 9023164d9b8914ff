//! Reads, and their session guarantees: read your writes, and monotonic reads.

use causeway_client::{Client, Window};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::Writer;
use crate::history::Event;
use crate::user::Answer;

/// The last page.
pub(super) struct Page {
    pub(super) cursor: String,
    /// Id, position and author of each message, in order.
    pub(super) messages: Vec<Line>,
}

#[derive(Clone)]
pub(super) struct Line {
    pub(super) id: String,
    pub(super) position: String,
    pub(super) author: String,
}

impl Page {
    fn of(body: &Value) -> Option<Self> {
        let said = |value: &Value| value.as_str().map(str::to_owned);
        let messages = body["messages"].as_array()?;
        let line = |message: &Value| {
            Some(Line {
                id: said(&message["id"])?,
                position: said(&message["position"])?,
                author: said(&message["author"]["name"])?,
            })
        };
        Some(Self {
            cursor: said(&body["cursor"])?,
            messages: messages.iter().map(line).collect::<Option<_>>()?,
        })
    }

    /// The highest position on it.
    pub(super) fn last_position(&self) -> Option<String> {
        self.messages.last().map(|line| line.position.clone())
    }

    fn has(&self, id: &str) -> bool {
        self.messages.iter().any(|line| line.id == id)
    }
}

/// The messages that a read must show.
enum Demand {
    Nothing,
    /// The messages of the last page that are not older than the new page.
    LastPage(String),
    /// The user's last post.
    OwnPost(String),
}

impl Writer {
    pub(super) async fn read(&mut self) {
        let demand = self.demand();
        let at_least = match &demand {
            Demand::Nothing => None,
            Demand::LastPage(cursor) => Some(cursor.as_str()),
            Demand::OwnPost(mark) => Some(mark.as_str()),
        };
        let elsewhere = u32::from(self.rng.chance(50));
        let replica = self.choose(elsewhere);
        let group = &self.group;
        let ask = |client: Client| async move {
            let client = client.at_least(at_least);
            client.page::<Value>(group, Window::Newest, 50).await
        };
        let answer = self.user.ask(replica, ask).await;
        self.weigh(&answer);
        let Some(body) = answer.done() else {
            return;
        };
        let Some(page) = Page::of(&body) else {
            return self.broken("answers", &format!("a page was answered with {body}"));
        };
        self.note_page(&body, replica);
        let missing = self.missing(&demand, &page);
        for id in missing {
            self.look_for(replica, &id, at_least).await;
        }
        self.last_page = Some(page);
    }

    fn demand(&mut self) -> Demand {
        let cursor = self.last_page.as_ref().map(|page| page.cursor.clone());
        match (self.rng.between(1, 3), cursor, self.posted_mark.clone()) {
            (1, Some(cursor), _) => Demand::LastPage(cursor),
            (2, _, Some(mark)) => Demand::OwnPost(mark),
            _ => Demand::Nothing,
        }
    }

    /// The expected messages that are not on the page.
    fn missing(&self, demand: &Demand, page: &Page) -> Vec<String> {
        match demand {
            Demand::Nothing => Vec::new(),
            Demand::OwnPost(_) => {
                let own = self.last_post.iter();
                own.filter(|id| !page.has(id)).cloned().collect()
            }
            Demand::LastPage(_) => {
                let begins = page.messages.first().map(|line| line.position.clone());
                let former = self.last_page.iter().flat_map(|page| &page.messages);
                former
                    .filter(|line| Some(&line.position) >= begins.as_ref() && !page.has(&line.id))
                    .map(|line| line.id.clone())
                    .collect()
            }
        }
    }

    /// A missing message may have moved to an earlier position or off the page; its id must find
    /// it.
    async fn look_for(&mut self, replica: u16, id: &str, at_least: Option<&str>) {
        let group = &self.group;
        let ask = |client: Client| async move {
            let client = client.at_least(at_least);
            client.message::<IgnoredAny>(group, id).await
        };
        if let Answer::Refused(code) = self.user.ask(replica, ask).await
            && code == "not_found"
        {
            let what = format!("replica {replica} accepts the marks, but does not show {id}");
            self.broken("sessions", &what);
        }
    }

    /// Records the holders of each message, and the settled prefix of the page.
    fn note_page(&mut self, body: &Value, replica: u16) {
        let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
        if self.rng.chance(20) {
            for message in messages {
                self.note_holders(message, replica);
            }
        }
        let settled = messages
            .iter()
            .take_while(|message| message["settled"] == true);
        let ids: Vec<String> = settled
            .filter_map(|message| message["id"].as_str().map(str::to_owned))
            .collect();
        if ids.len() > 1 {
            self.history.record(Event::Settled {
                group: self.group.clone(),
                ids,
            });
        }
    }
}
