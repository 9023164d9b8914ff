//! An open stream of a group.

use std::collections::VecDeque;

use reqwest::Response;

use crate::sse::{Parser, RawFrame};

/// Frames as they come; closed when dropped.
#[derive(Debug)]
pub struct Stream {
    response: Response,
    parser: Parser,
    whole: VecDeque<RawFrame>,
}

impl Stream {
    pub(crate) fn new(response: Response, cursor: &str) -> Self {
        Self {
            response,
            parser: Parser::resuming(cursor),
            whole: VecDeque::new(),
        }
    }

    /// The next frame; none when the stream has ended, broken off or gone silent.
    pub async fn next(&mut self) -> Option<RawFrame> {
        while self.whole.is_empty() {
            let piece = self.response.chunk().await.ok()??;
            self.whole.extend(self.parser.feed(&piece).ok()?);
        }
        self.whole.pop_front()
    }

    /// How long the server asks to wait before connecting again, if it said so.
    pub fn retry_ms(&self) -> Option<u64> {
        self.parser.retry_ms()
    }
}
