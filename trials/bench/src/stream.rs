//! A reader of a group's stream.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::AsyncReadExt;

use crate::http::Connection;
use crate::secure::Stream;

/// The timeout of a frame.
const PATIENCE: Duration = Duration::from_mins(1);

/// An open stream.
pub struct Reader {
    stream: Stream,
    /// Received bytes that were not searched yet.
    rest: Vec<u8>,
}

impl Reader {
    /// Opens a stream and waits until it has caught up.
    pub async fn open(address: SocketAddr, token: &str, group: &str) -> anyhow::Result<Self> {
        let path = format!("/v1/groups/{group}/events");
        let stream = Connection::open(address).await?.send(&path, token).await?;
        let mut reader = Self {
            stream,
            rest: Vec::new(),
        };
        reader.wait_for("caught_up").await?;
        Ok(reader)
    }

    /// Reads until a text arrives, and drops everything up to it.
    pub async fn wait_for(&mut self, text: &str) -> anyhow::Result<()> {
        tokio::time::timeout(PATIENCE, self.read_past(text))
            .await
            .with_context(|| format!("`{text}` did not arrive"))?
    }

    /// Reads until a prefix arrives; returns the number after it, which has a fixed number of
    /// digits.
    pub async fn next_number(&mut self, prefix: &str, digits: usize) -> anyhow::Result<u32> {
        self.read_past(prefix).await?;
        while self.rest.len() < digits {
            self.read_more().await?;
        }
        Ok(str::from_utf8(&self.rest[..digits])?.parse()?)
    }

    async fn read_past(&mut self, text: &str) -> anyhow::Result<()> {
        loop {
            let windows = self.rest.windows(text.len());
            let found = windows
                .enumerate()
                .find(|(_, part)| *part == text.as_bytes());
            if let Some((at, _)) = found {
                self.rest.drain(..at + text.len());
                return Ok(());
            }
            // A part of the text may have arrived.
            let looked_at = (self.rest.len() + 1).saturating_sub(text.len());
            self.rest.drain(..looked_at);
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> anyhow::Result<()> {
        let read = self.stream.read_buf(&mut self.rest).await?;
        // The last chunk of an answer is empty.
        let is_over = read == 0 || self.rest.ends_with(b"\r\n0\r\n\r\n");
        ensure!(!is_over, "the server closed the stream");
        Ok(())
    }
}
