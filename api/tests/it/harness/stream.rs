//! A reader of server-sent events, written from the standard and not from the server.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::PATIENCE;

/// One event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Its type.
    pub event: String,
    /// Its id, where this event carries one itself.
    pub id: Option<String>,
    /// Its data.
    pub data: Value,
}

impl Frame {
    /// The cursor that an event of this type must carry.
    #[track_caller]
    pub fn cursor(&self) -> String {
        self.id
            .clone()
            .unwrap_or_else(|| panic!("{self:?} carries no id"))
    }
}

/// An open stream; closed when dropped.
#[derive(Debug)]
pub struct Stream {
    response: reqwest::Response,
    pending: Vec<u8>,
    frame: Partial,
    /// How many comments have come.
    pub comments: usize,
    /// The last reconnection time that was given.
    pub retry_ms: Option<u64>,
    /// The id to resume after.
    pub last_id: Option<String>,
}

#[derive(Debug, Default)]
struct Partial {
    event: String,
    id: Option<String>,
    data: Vec<String>,
}

impl Stream {
    /// Sends the request and demands a stream.
    pub async fn open(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("the server answers");
        let status = response.status();
        let media_type = response.headers().get("content-type").cloned();
        let is_stream =
            media_type.is_some_and(|it| it.as_bytes().starts_with(b"text/event-stream"));
        let is_open = status.is_success() && is_stream;
        if !is_open {
            let body = response.text().await.unwrap_or_default();
            panic!("not a stream but {status}: {body}");
        }
        Self {
            response,
            pending: Vec::new(),
            frame: Partial::default(),
            comments: 0,
            retry_ms: None,
            last_id: None,
        }
    }

    /// The headers of the answer.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next event, or nothing when the stream ends or none comes in time.
    pub async fn next_within(&mut self, span: Duration) -> Option<Frame> {
        tokio::time::timeout(span, self.read()).await.ok().flatten()
    }

    /// The next event of any type.
    pub async fn next(&mut self) -> Frame {
        self.next_within(PATIENCE).await.expect("an event comes")
    }

    /// The next event of one of these types; others are passed over.
    pub async fn next_of(&mut self, events: &[&str]) -> Frame {
        self.next_where(&format!("one of {events:?}"), |frame| {
            events.contains(&frame.event.as_str())
        })
        .await
    }

    /// The next event with this property; others are passed over.
    pub async fn next_where(&mut self, what: &str, has_it: impl Fn(&Frame) -> bool) -> Frame {
        let mut passed = Vec::new();
        let search = async {
            while let Some(frame) = self.read().await {
                if has_it(&frame) {
                    return Some(frame);
                }
                passed.push(frame.event);
            }
            None
        };
        match tokio::time::timeout(PATIENCE, search).await {
            Ok(Some(frame)) => frame,
            Ok(None) => panic!("the stream ended before {what}, after {passed:?}"),
            Err(late) => panic!("{what} did not come ({late}), only {passed:?}"),
        }
    }

    /// Reads up to and with the end of the catch-up and returns the events with ids before it.
    pub async fn catches_up(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await;
            if frame.event == "caught_up" {
                frame.cursor();
                return frames;
            }
            if frame.id.is_some() {
                frames.push(frame);
            }
        }
    }

    /// Waits until the server closes the stream.
    pub async fn ends(&mut self) {
        let drain = async { while self.read().await.is_some() {} };
        tokio::time::timeout(PATIENCE, drain)
            .await
            .expect("the stream ends");
    }

    /// The next frame; nothing when the stream has ended.
    pub async fn read(&mut self) -> Option<Frame> {
        loop {
            while let Some(line) = self.take_line() {
                if let Some(frame) = self.take_in(&line) {
                    return Some(frame);
                }
            }
            let piece: Bytes = self.response.chunk().await.ok().flatten()?;
            self.pending.extend_from_slice(&piece);
        }
    }

    fn take_line(&mut self) -> Option<String> {
        let end = self.pending.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.pending.drain(..=end).collect();
        let line = String::from_utf8(line).expect("a stream is UTF-8");
        Some(line.trim_end_matches(['\n', '\r']).to_owned())
    }

    fn take_in(&mut self, line: &str) -> Option<Frame> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.comments += 1,
            "event" => value.clone_into(&mut self.frame.event),
            "id" => self.frame.id = Some(value.to_owned()),
            "data" => self.frame.data.push(value.to_owned()),
            "retry" => self.retry_ms = Some(value.parse().expect("retry is a number")),
            other => panic!("a stream has no field {other:?}"),
        }
        None
    }

    fn dispatch(&mut self) -> Option<Frame> {
        let frame = std::mem::take(&mut self.frame);
        if frame.id.is_some() {
            self.last_id.clone_from(&frame.id);
        }
        if frame.data.is_empty() {
            assert!(
                frame.event.is_empty(),
                "`{}` without data is lost in browsers",
                frame.event
            );
            return None;
        }
        let data = frame.data.join("\n");
        let data = serde_json::from_str(&data).unwrap_or_else(|_| panic!("not JSON: {data}"));
        Some(Frame {
            event: frame.event,
            id: frame.id,
            data,
        })
    }
}
