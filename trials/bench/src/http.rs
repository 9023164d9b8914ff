//! A minimal HTTP/1.1 client for measured requests: one connection, sequential requests, bodies
//! with a length.
//!
//! The load generator shares its cores with the servers, so the cost of an ordinary client would be
//! part of every figure. Requests that are not measured use `causeway-client`.

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::secure::{self, Stream};

/// A persistent connection to a replica.
pub struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
    request: Vec<u8>,
}

/// An answer: its status, and the range of its body in the connection's buffer.
#[derive(Debug)]
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// Parses the body of a successful answer.
    pub fn json(&self) -> anyhow::Result<Value> {
        ensure!(
            (200..300).contains(&self.status),
            "answered {}: {}",
            self.status,
            String::from_utf8_lossy(self.body)
        );
        Ok(serde_json::from_slice(self.body)?)
    }
}

impl Connection {
    /// Connects to a replica's public port.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self {
            stream: secure::connect(address).await?,
            buffer: Vec::with_capacity(4096),
            request: Vec::with_capacity(1024),
        })
    }

    /// Sends a request and reads its answer. `more` holds further header lines, each with CRLF.
    pub async fn ask(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        more: &str,
        body: &str,
    ) -> anyhow::Result<Answer<'_>> {
        use std::io::Write as _;
        self.request.clear();
        write!(
            self.request,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
        )?;
        if !token.is_empty() {
            write!(self.request, "Authorization: Bearer {token}\r\n")?;
        }
        if !body.is_empty() {
            let length = body.len();
            write!(
                self.request,
                "Content-Type: application/json\r\nContent-Length: {length}\r\n"
            )?;
        }
        write!(self.request, "{more}\r\n{body}")?;
        self.stream.write_all(&self.request).await?;
        self.stream.flush().await?;
        self.answer().await
    }

    async fn answer(&mut self) -> anyhow::Result<Answer<'_>> {
        self.buffer.clear();
        let head_end = loop {
            ensure!(
                self.stream.read_buf(&mut self.buffer).await? > 0,
                "the server closed the connection"
            );
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = str::from_utf8(&self.buffer[..head_end])?;
        let status = head.get(9..12).context("no status")?.parse()?;
        let length = length_of(head)?;
        while self.buffer.len() < head_end + length {
            ensure!(
                self.stream.read_buf(&mut self.buffer).await? > 0,
                "the server closed the connection"
            );
        }
        Ok(Answer {
            status,
            body: &self.buffer[head_end..head_end + length],
        })
    }

    /// Fetches the metrics.
    pub async fn metrics(&mut self) -> anyhow::Result<Metrics> {
        let answer = self.ask("GET", "/metrics", "", "", "").await?;
        Ok(Metrics(str::from_utf8(answer.body)?.to_owned()))
    }

    /// Requests a stream and returns the raw connection, to read it.
    pub async fn send(mut self, path: &str, token: &str) -> anyhow::Result<Stream> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.stream.flush().await?;
        Ok(self.stream)
    }
}

/// The metrics of a replica in the Prometheus text format.
pub struct Metrics(String);

impl Metrics {
    /// The sum of a metric over its labels.
    pub fn sum(&self, name: &str) -> anyhow::Result<u64> {
        let values: Vec<u64> = self
            .0
            .lines()
            .filter_map(|line| line.strip_prefix(name))
            .filter(|rest| rest.starts_with([' ', '{']))
            .filter_map(|rest| rest.rsplit(' ').next()?.parse().ok())
            .collect();
        ensure!(!values.is_empty(), "no metric `{name}`");
        Ok(values.iter().sum())
    }
}

/// Posts a given text.
pub async fn say(
    connection: &mut Connection,
    token: &str,
    group: &str,
    text: &str,
) -> anyhow::Result<()> {
    let path = format!("/v1/groups/{group}/messages");
    let body = format!(r#"{{"text":"{text}"}}"#);
    connection
        .ask("POST", &path, token, "", &body)
        .await?
        .json()?;
    Ok(())
}

fn length_of(head: &str) -> anyhow::Result<usize> {
    for line in head.split("\r\n") {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            return Ok(value.trim().parse()?);
        }
    }
    bail!("an answer without a length: {head}")
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
