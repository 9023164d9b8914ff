//! The calls of the public API, one method per operation.
//!
//! Knows HTTP and decides nothing: what a failure means for the person is up to `chat`. A call that
//! may be repeated is repeated by the caller. Time-outs are set here because reqwest has none of
//! its own.

mod answer;
mod http;

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;

pub use self::answer::{CallError, Written};
use self::answer::{Kind, answer, mark_of, read, written};
pub use self::http::Http;
use crate::wire::lists::{Changes, Groups, Members};
use crate::wire::{Message, NewMessage, Page, Server, Snapshot, View};

const CALL: Duration = Duration::from_secs(8);
/// Who only asks whether a server is there, waits less.
const PROBE: Duration = Duration::from_secs(3);

/// A server, and who we are there.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
    base: String,
    token: Option<String>,
}

impl Client {
    /// A client that is not logged in yet; `base` is of the form `http://host:port`, perhaps with a
    /// path.
    pub fn new(http: &Http, base: &str) -> Self {
        Self {
            http: http.clone(),
            base: base.trim_end_matches('/').to_owned(),
            token: None,
        }
    }

    /// The address, with its scheme.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The same server, logged in.
    #[must_use]
    pub fn with_token(&self, token: String) -> Self {
        Self {
            token: Some(token),
            ..self.clone()
        }
    }

    /// Another server, with the login there is.
    #[must_use]
    pub fn at(&self, http: &Http, base: &str) -> Self {
        Self {
            token: self.token.clone(),
            ..Self::new(http, base)
        }
    }

    /// What this replica is. Also how one asks whether it is there: quick to give up.
    pub async fn server(&self) -> Result<Server, CallError> {
        read(self.call(Method::GET, &["v1", "server"])?.timeout(PROBE)).await
    }

    /// Logs in.
    pub async fn log_in<T: DeserializeOwned>(&self, name: &str) -> Result<T, CallError> {
        let body = serde_json::json!({ "name": name });
        read(self.call(Method::POST, &["v1", "sessions"])?.json(&body)).await
    }

    /// Logs out.
    pub async fn log_out(&self) -> Result<(), CallError> {
        let call = self.call(Method::DELETE, &["v1", "sessions", "current"])?;
        answer(call, Kind::Empty).await.map(drop)
    }

    /// The servers.
    pub async fn view(&self) -> Result<View, CallError> {
        self.view_as().await
    }

    /// The servers, in whatever form the caller reads.
    pub async fn view_as<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        read(self.call(Method::GET, &["v1", "view"])?).await
    }

    /// Joins a group and shows it; `at_least` waits until the replica holds what was seen
    /// elsewhere.
    pub async fn join(
        &self,
        group: &str,
        at_least: Option<&str>,
    ) -> Result<Written<Snapshot>, CallError> {
        let call = self.call(Method::PUT, &["v1", "groups", group, "members", "me"])?;
        written(with_query(call, &[("at_least", at_least)])).await
    }

    /// Ends a membership.
    pub async fn leave(&self, group: &str) -> Result<Option<String>, CallError> {
        let call = self.call(Method::DELETE, &["v1", "groups", group, "members", "me"])?;
        Ok(mark_of(&answer(call, Kind::Empty).await?))
    }

    /// A group as it stands.
    pub async fn snapshot(&self, group: &str) -> Result<Snapshot, CallError> {
        read(self.call(Method::GET, &["v1", "groups", group])?).await
    }

    /// Posts a message. `key` names this message: the same key again is the same message.
    pub async fn post<T: DeserializeOwned>(
        &self,
        group: &str,
        key: &str,
        message: &NewMessage<'_>,
        at_least: Option<&str>,
    ) -> Result<Written<T>, CallError> {
        let call = self.call(Method::POST, &["v1", "groups", group, "messages"])?;
        let call = with_query(call, &[("at_least", at_least)]);
        written(call.header("Idempotency-Key", key).json(message)).await
    }

    /// The messages after a position or message, or the newest where there is none.
    pub async fn page<T: DeserializeOwned>(
        &self,
        group: &str,
        after: Option<&str>,
        limit: u16,
    ) -> Result<T, CallError> {
        let call = self.call(Method::GET, &["v1", "groups", group, "messages"])?;
        read(with_query(
            call,
            &[("after", after), ("limit", Some(&limit.to_string()))],
        ))
        .await
    }

    /// The messages before a position.
    pub async fn page_before(
        &self,
        group: &str,
        before: &str,
        limit: u16,
    ) -> Result<Page, CallError> {
        let call = self.call(Method::GET, &["v1", "groups", group, "messages"])?;
        read(with_query(
            call,
            &[
                ("before", Some(before)),
                ("limit", Some(&limit.to_string())),
            ],
        ))
        .await
    }

    /// One message.
    pub async fn message(&self, group: &str, id: &str) -> Result<Message, CallError> {
        read(self.call(Method::GET, &["v1", "groups", group, "messages", id])?).await
    }

    /// Likes a message, or takes the like back.
    pub async fn like<T: DeserializeOwned>(
        &self,
        group: &str,
        message: &str,
        liked: bool,
    ) -> Result<Written<T>, CallError> {
        let method = if liked { Method::PUT } else { Method::DELETE };
        written(self.call(
            method,
            &["v1", "groups", group, "messages", message, "likes", "me"],
        )?)
        .await
    }

    /// A page of the groups, or of those that one is a member of.
    pub async fn groups(&self, joined: bool, after: Option<&str>) -> Result<Groups, CallError> {
        let call = self.call(Method::GET, &["v1", "groups"])?;
        let joined = joined.then_some("true");
        let query = [("joined", joined), ("after", after), ("limit", Some("500"))];
        read(with_query(call, &query)).await
    }

    /// A page of a group's members.
    pub async fn members(&self, group: &str, after: Option<&str>) -> Result<Members, CallError> {
        let call = self.call(Method::GET, &["v1", "groups", group, "members"])?;
        read(with_query(
            call,
            &[("after", after), ("limit", Some("500"))],
        ))
        .await
    }

    /// What has happened in a group after a cursor, or from now on; waits so long for it.
    pub async fn changes(
        &self,
        group: &str,
        cursor: Option<&str>,
        wait: Duration,
    ) -> Result<Changes, CallError> {
        let call = self.call(Method::GET, &["v1", "groups", group, "changes"])?;
        let wait_ms = wait.as_millis().to_string();
        let query = [
            ("cursor", cursor),
            ("wait_ms", Some(wait_ms.as_str())),
            ("limit", Some("500")),
        ];
        read(with_query(call, &query).timeout(CALL + wait)).await
    }

    /// Opens the stream of a group after a cursor.
    pub async fn events(&self, group: &str, cursor: Option<&str>) -> Result<Response, CallError> {
        let mut call = self.request(Method::GET, &["v1", "groups", group, "events"])?;
        call = call
            .header("Accept", "text/event-stream")
            .header("Cache-Control", "no-cache");
        if let Some(cursor) = cursor {
            call = call.header("Last-Event-ID", cursor);
        }
        // The time-out of a call would end the stream, so only its beginning has one.
        match tokio::time::timeout(CALL, answer(call, Kind::Stream)).await {
            Ok(answered) => answered,
            Err(_) => Err(CallError::Unreachable("no answer in time".into())),
        }
    }

    fn call(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, CallError> {
        Ok(self.request(method, path)?.timeout(CALL))
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, CallError> {
        let mut address = self.base.clone();
        for segment in path {
            address.push('/');
            address.push_str(&percent_encoded(segment));
        }
        let request = self.http.to(&self.base)?.request(method, address);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }
}

/// A path segment in which nothing has a meaning of its own, not even a dot.
fn percent_encoded(segment: &str) -> String {
    segment.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric()
            || b"-_~".contains(&byte)
            || (byte == b'.' && segment.len() > 2)
        {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

fn with_query(call: RequestBuilder, parameters: &[(&str, Option<&str>)]) -> RequestBuilder {
    let given: Vec<_> = parameters
        .iter()
        .filter_map(|(name, value)| value.map(|value| (*name, value)))
        .collect();
    if given.is_empty() {
        call
    } else {
        call.query(&given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leaves_its_path_segment() {
        assert_eq!(percent_encoded("a/b?c"), "a%2Fb%3Fc");
        assert_eq!(percent_encoded(".."), "%2E%2E");
        assert_eq!(percent_encoded("日"), "%E6%97%A5");
        assert_eq!(percent_encoded("v1.2-x_y"), "v1.2-x_y");
    }
}
