//! A history, page by page: the next page is prefetched while one is shown.

use causeway_client::{CallError, Client, Message, Page, Window};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::task::JoinHandle;

/// The largest page that a server gives.
const PAGE: u16 = 500;

type Fetched<T> = Result<Page<T>, CallError>;

/// A message whose position can be read.
pub trait HasPosition {
    /// Its position in the history.
    fn position(&self) -> Option<String>;
}

impl HasPosition for Message {
    fn position(&self) -> Option<String> {
        Some(self.position.clone())
    }
}

impl HasPosition for Box<RawValue> {
    fn position(&self) -> Option<String> {
        let message: Message = serde_json::from_str(self.get()).ok()?;
        Some(message.position)
    }
}

/// Reads on from a position. Memory is bounded by two pages.
pub struct Pages<T> {
    group: String,
    /// Where the next page begins; `None` after the last.
    after: Option<String>,
    fetching: Option<JoinHandle<Fetched<T>>>,
}

impl<T: HasPosition + DeserializeOwned + Send + 'static> Pages<T> {
    /// The pages after this position.
    pub fn after(group: &str, position: String) -> Self {
        Self {
            group: group.to_owned(),
            after: Some(position),
            fetching: None,
        }
    }

    /// The next page; `None` after the last. After an error the same page is requested again.
    pub async fn next(&mut self, client: &Client) -> Option<Fetched<T>> {
        let fetching = match self.fetching.take() {
            Some(fetching) => fetching,
            None => self.fetch(client, self.after.clone()?),
        };
        let fetched = fetching
            .await
            .unwrap_or_else(|_| Err(CallError::Unreachable("interrupted".into())));
        if let Ok(page) = &fetched {
            let last = page.messages.last().filter(|_| page.has_after);
            self.after = last.and_then(HasPosition::position);
            if let Some(after) = self.after.clone() {
                self.fetching = Some(self.fetch(client, after));
                // Lets the request leave before the page is shown.
                tokio::task::yield_now().await;
            }
        }
        Some(fetched)
    }

    fn fetch(&self, client: &Client, after: String) -> JoinHandle<Fetched<T>> {
        let (client, group) = (client.clone(), self.group.clone());
        tokio::spawn(async move { client.page(&group, Window::After(&after), PAGE).await })
    }
}

impl<T> Drop for Pages<T> {
    fn drop(&mut self) {
        if let Some(fetching) = &self.fetching {
            fetching.abort();
        }
    }
}

/// A position before that of every message, in the same form: positions begin with 16 digits of
/// time, and no message has the time 0.
pub fn first_position(position: &str) -> String {
    let zeros = position.len().min(16);
    "0".repeat(zeros) + position.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_page_begins_before_every_message() {
        let position = "0193b3f1a2c5000000019f3c07aa0000000000000007";

        let first = first_position(position);

        assert_eq!(first.len(), position.len());
        assert!(*first < *position && first.starts_with("0000000000000000"));
    }
}
