//! A person at a replica: what people do, one call each, demanding that it succeeds.
//!
//! What only prepares a test goes through the project's client. What a test looks at byte by byte
//! goes through [`User::request`] and those below it: a contract is not tried by way of types that
//! were written for it.

use std::time::Duration;

use causeway_client::{Client, NewMessage, Session, Window};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Answer, Door, Replica, Stream};

/// Somebody who is logged in.
#[derive(Clone, Debug)]
pub struct User {
    door: Door,
    /// The folded name.
    pub name: String,
    /// The id.
    pub id: String,
    /// The token of the session.
    pub token: String,
}

impl User {
    /// Logs in by name.
    pub async fn logs_in(door: &Door, name: &str) -> Self {
        let session = door.client().log_in::<Session>(name).await;
        let session = session.expect("a login is given");
        Self {
            door: door.clone(),
            name: session.user.name,
            id: session.user.id,
            token: session.token,
        }
    }

    fn client(&self) -> Client {
        self.door.client().with_token(self.token.clone())
    }

    /// Somebody else at the same replica.
    pub async fn named(&self, name: &str) -> Self {
        Self::logs_in(&self.door, name).await
    }

    /// The same session at another replica.
    pub fn at(&self, replica: &Replica) -> Self {
        Self {
            door: replica.door.clone(),
            ..self.clone()
        }
    }

    /// The same session on connections of its own.
    pub fn anew(&self) -> Self {
        Self {
            door: self.door.anew(),
            ..self.clone()
        }
    }

    /// A request with the token of this session.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.door.request(method, path).bearer_auth(&self.token)
    }

    /// Sends a request, or says why there is no answer.
    pub async fn tries(&self, request: RequestBuilder) -> Result<Answer, String> {
        Answer::to(request.timeout(Duration::from_mins(1))).await
    }

    /// Gets a path.
    pub async fn get(&self, path: &str) -> Answer {
        self.tries(self.request(Method::GET, path))
            .await
            .expect("the server answers")
    }

    /// Puts to a path, without a body.
    pub async fn put(&self, path: &str) -> Answer {
        self.tries(self.request(Method::PUT, path))
            .await
            .expect("the server answers")
    }

    /// Deletes at a path.
    pub async fn delete(&self, path: &str) -> Answer {
        self.tries(self.request(Method::DELETE, path))
            .await
            .expect("the server answers")
    }

    /// Posts a JSON body to a path.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path).json(body);
        self.tries(request).await.expect("the server answers")
    }

    /// Joins a group and returns the snapshot.
    pub async fn joins(&self, group: &str) -> Value {
        let joined = self.client().join(group).await;
        joined.expect("a group can be joined").body
    }

    /// Leaves a group.
    pub async fn leaves(&self, group: &str) {
        let left = self.client().leave(group).await;
        left.expect("a member can leave");
    }

    /// Posts a text and returns the message.
    pub async fn says(&self, group: &str, text: &str) -> Value {
        let message = NewMessage {
            text,
            ..NewMessage::default()
        };
        let posted = self.client().post(group, &message).await;
        posted.expect("a member can post").body
    }

    /// Posts a text with an idempotency key.
    pub async fn says_once(&self, group: &str, text: &str, key: &str) -> Answer {
        let path = format!("/v1/groups/{group}/messages");
        let request = self
            .request(Method::POST, &path)
            .json(&json!({ "text": text }));
        self.tries(request.header("Idempotency-Key", key))
            .await
            .expect("the server answers")
    }

    /// Likes a message.
    pub async fn likes(&self, group: &str, id: &Value) -> Answer {
        self.put(&like_path(group, id)).await
    }

    /// Takes a like back.
    pub async fn unlikes(&self, group: &str, id: &Value) -> Answer {
        self.delete(&like_path(group, id)).await
    }

    /// One message.
    pub async fn message(&self, group: &str, id: &Value) -> Value {
        let id = id.as_str().expect("an id is a text");
        let message = self.client().message(group, id).await;
        message.expect("the message is shown")
    }

    /// The snapshot of a group.
    pub async fn snapshot(&self, group: &str) -> Value {
        let snapshot = self.client().snapshot(group).await;
        snapshot.expect("the group is shown")
    }

    /// A page of messages, asked for by a query such as `limit=5`.
    pub async fn page(&self, group: &str, query: &str) -> Value {
        self.get(&format!("/v1/groups/{group}/messages?{query}"))
            .await
            .with(200)
    }

    /// The whole history, read backwards page by page. Nothing where the group is not known here.
    pub async fn history(&self, group: &str) -> Vec<Value> {
        let client = self.client();
        let mut history: Vec<Value> = Vec::new();
        loop {
            let first = history.first().map(|message| message["id"].clone());
            let window = first.as_ref().map_or(Window::Newest, |id| {
                Window::Before(id.as_str().expect("an id is a text"))
            });
            let page: causeway_client::Page<Value> = match client.page(group, window, 100).await {
                Ok(page) => page,
                Err(error) if error.is("not_found") && history.is_empty() => return history,
                Err(error) => panic!("no history of `{group}`: {error:?}"),
            };
            history.splice(0..0, page.messages);
            if !page.has_before {
                return history;
            }
        }
    }

    /// The newest messages, byte for byte as the server wrote them.
    pub async fn raw_messages(&self, group: &str) -> String {
        let answer = self
            .get(&format!("/v1/groups/{group}/messages?limit=500"))
            .await;
        let page: Page = serde_json::from_str(&answer.body).expect("a page");
        page.messages.get().to_owned()
    }

    /// Opens a stream that starts now.
    pub async fn listens(&self, group: &str) -> Stream {
        let request = self.request(Method::GET, &format!("/v1/groups/{group}/events"));
        Stream::open(request).await
    }

    /// Opens a stream that goes on after a cursor.
    pub async fn resumes(&self, group: &str, cursor: &str) -> Stream {
        let request = self.request(Method::GET, &format!("/v1/groups/{group}/events"));
        Stream::open(request.header("Last-Event-ID", cursor)).await
    }

    /// The replica's view.
    pub async fn view(&self) -> Value {
        let view = self.client().view_as().await;
        view.expect("the view is shown")
    }

    /// Who is online in a group, as this replica says, by name.
    pub async fn sees_online(&self, group: &str) -> Vec<String> {
        names(&self.snapshot(group).await["online"])
    }
}

#[derive(serde::Deserialize)]
struct Page {
    messages: Box<serde_json::value::RawValue>,
}

fn like_path(group: &str, id: &Value) -> String {
    format!(
        "/v1/groups/{group}/messages/{}/likes/me",
        id.as_str().expect("an id is a text")
    )
}

/// The texts of a list of messages.
pub fn texts(messages: &[Value]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message["text"].as_str().expect("a text"))
        .collect()
}

/// The ids of a list of messages.
pub fn ids(messages: &[Value]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message["id"].as_str().expect("a text"))
        .collect()
}

/// The names of a list of users.
pub fn names(users: &Value) -> Vec<String> {
    let name = |user: &Value| {
        user["name"]
            .as_str()
            .or(user.as_str())
            .expect("a user")
            .to_owned()
    };
    users.as_array().expect("a list").iter().map(name).collect()
}
