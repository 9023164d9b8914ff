//! The calls, one method per operation.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;

use crate::answer::{CallError, Kind, Written, answer, mark_of, read, written};
use crate::bodies::{NewMessage, Server, View};
use crate::http::Http;
use crate::lists::{Changes, Groups, Members};
use crate::stream::Stream;

/// Whoever only asks whether a server is there waits no longer than this.
const PROBE: Duration = Duration::from_secs(3);

/// A server, and who we are there.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
    base: String,
    token: Option<String>,
    at_least: Option<String>,
}

/// Which part of a history.
#[derive(Debug, Clone, Copy)]
pub enum Window<'a> {
    /// Its end.
    Newest,
    /// What stands after a position or message.
    After(&'a str),
    /// What stands before one.
    Before(&'a str),
}

type Answer<T> = Result<T, CallError>;

impl Client {
    /// A client that is not logged in yet; `base` is of the form `http://host:port`, perhaps with a
    /// path.
    pub fn new(http: &Http, base: &str) -> Self {
        Self {
            http: http.clone(),
            base: base.trim_end_matches('/').to_owned(),
            token: None,
            at_least: None,
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

    /// Another server, with the same login.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        Self {
            token: self.token.clone(),
            ..Self::new(&self.http, base)
        }
    }

    /// The same server; each call waits until the replica holds what this mark or cursor names, or
    /// is refused as `behind`.
    #[must_use]
    pub fn at_least(&self, mark: Option<&str>) -> Self {
        Self {
            at_least: mark.map(str::to_owned),
            ..self.clone()
        }
    }

    /// What this replica is. Also how one asks whether it is there: gives up after three seconds.
    pub async fn server(&self) -> Answer<Server> {
        read(self.get(&["v1", "server"])?.timeout(PROBE)).await
    }

    /// Logs in.
    pub async fn log_in<T: DeserializeOwned>(&self, name: &str) -> Answer<T> {
        let body = serde_json::json!({ "name": name });
        read(self.call(Method::POST, &["v1", "sessions"])?.json(&body)).await
    }

    /// Logs out.
    pub async fn log_out(&self) -> Answer<()> {
        let call = self.call(Method::DELETE, &["v1", "sessions", "current"])?;
        answer(call, Kind::Empty).await.map(drop)
    }

    /// The servers.
    pub async fn view(&self) -> Answer<View> {
        self.view_as().await
    }

    /// The servers, in whatever form the caller reads.
    pub async fn view_as<T: DeserializeOwned>(&self) -> Answer<T> {
        read(self.get(&["v1", "view"])?).await
    }

    /// Joins a group and shows it.
    pub async fn join<T: DeserializeOwned>(&self, group: &str) -> Answer<Written<T>> {
        written(self.call(Method::PUT, &["v1", "groups", group, "members", "me"])?).await
    }

    /// Ends a membership; returns the mark.
    pub async fn leave(&self, group: &str) -> Answer<Option<String>> {
        let call = self.call(Method::DELETE, &["v1", "groups", group, "members", "me"])?;
        Ok(mark_of(&answer(call, Kind::Empty).await?))
    }

    /// A group as it stands.
    pub async fn snapshot<T: DeserializeOwned>(&self, group: &str) -> Answer<T> {
        read(self.get(&["v1", "groups", group])?).await
    }

    /// Posts a message.
    pub async fn post<T: DeserializeOwned>(
        &self,
        group: &str,
        message: &NewMessage<'_>,
    ) -> Answer<Written<T>> {
        let mut call = self.call(Method::POST, &["v1", "groups", group, "messages"])?;
        if let Some(key) = message.key {
            call = call.header("Idempotency-Key", key);
        }
        if let Some((wait_for, at_most)) = message.wait_for {
            let timeout_ms = at_most.as_millis();
            call = call.query(&[
                ("wait_for", wait_for),
                ("timeout_ms", &timeout_ms.to_string()),
            ]);
        }
        written(call.json(message)).await
    }

    /// A part of the history, in order.
    pub async fn page<T: DeserializeOwned>(
        &self,
        group: &str,
        window: Window<'_>,
        limit: u16,
    ) -> Answer<T> {
        let call = self.get(&["v1", "groups", group, "messages"])?;
        let call = match window {
            Window::Newest => call,
            Window::After(place) => call.query(&[("after", place)]),
            Window::Before(place) => call.query(&[("before", place)]),
        };
        read(call.query(&[("limit", limit)])).await
    }

    /// One message.
    pub async fn message<T: DeserializeOwned>(&self, group: &str, id: &str) -> Answer<T> {
        read(self.get(&["v1", "groups", group, "messages", id])?).await
    }

    /// Likes a message, or takes the like back.
    pub async fn like<T: DeserializeOwned>(
        &self,
        group: &str,
        message: &str,
        liked: bool,
    ) -> Answer<Written<T>> {
        let method = if liked { Method::PUT } else { Method::DELETE };
        let path = ["v1", "groups", group, "messages", message, "likes", "me"];
        written(self.call(method, &path)?).await
    }

    /// A page of the groups, or of those that one is a member of.
    pub async fn groups(&self, joined: bool, after: Option<&str>) -> Answer<Groups> {
        let mut call = self.get(&["v1", "groups"])?;
        if joined {
            call = call.query(&[("joined", "true")]);
        }
        read(listed(call, after)).await
    }

    /// A page of a group's members.
    pub async fn members(&self, group: &str, after: Option<&str>) -> Answer<Members> {
        read(listed(
            self.get(&["v1", "groups", group, "members"])?,
            after,
        ))
        .await
    }

    /// What has happened in a group after a cursor, or from now on: at most `limit` events, waited
    /// for at most this long.
    pub async fn changes(
        &self,
        group: &str,
        cursor: Option<&str>,
        wait: Duration,
        limit: u16,
    ) -> Answer<Changes> {
        let mut call = self.get(&["v1", "groups", group, "changes"])?;
        if let Some(cursor) = cursor {
            call = call.query(&[("cursor", cursor)]);
        }
        let wait_ms = wait.as_millis();
        call = call.query(&[
            ("wait_ms", wait_ms.to_string()),
            ("limit", limit.to_string()),
        ]);
        read(call.timeout(self.http.limits().call + wait)).await
    }

    /// Opens the stream of a group after a cursor, or from now on.
    pub async fn events(&self, group: &str, cursor: Option<&str>) -> Answer<Stream> {
        let mut call = self
            .request(Method::GET, &["v1", "groups", group, "events"])?
            .header("Accept", "text/event-stream")
            .header("Cache-Control", "no-cache");
        if let Some(cursor) = cursor {
            call = call.header("Last-Event-ID", cursor);
        }
        // The time-out of a call would end the stream, so only its beginning has one.
        match tokio::time::timeout(self.http.limits().call, answer(call, Kind::Stream)).await {
            Ok(answered) => Ok(Stream::new(answered?, cursor.unwrap_or_default())),
            Err(_) => Err(CallError::Unreachable("no answer in time".into())),
        }
    }

    fn get(&self, path: &[&str]) -> Answer<RequestBuilder> {
        self.call(Method::GET, path)
    }

    fn call(&self, method: Method, path: &[&str]) -> Answer<RequestBuilder> {
        let request = self.request(method, path)?;
        Ok(request.timeout(self.http.limits().call))
    }

    fn request(&self, method: Method, path: &[&str]) -> Answer<RequestBuilder> {
        let mut address = self.base.clone();
        for segment in path {
            address.push('/');
            address.push_str(&percent_encoded(segment));
        }
        let mut request = self.http.to(&self.base)?.request(method, address);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(mark) = &self.at_least {
            request = request.query(&[("at_least", mark)]);
        }
        Ok(request)
    }
}

/// A list, as many entries at once as a server gives.
fn listed(call: RequestBuilder, after: Option<&str>) -> RequestBuilder {
    let call = call.query(&[("limit", "500")]);
    match after {
        Some(after) => call.query(&[("after", after)]),
        None => call,
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
