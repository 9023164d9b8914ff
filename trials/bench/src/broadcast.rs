//! The yardstick for streams: a server in its own process that sends the same bytes to every
//! connection through one channel, with the same HTTP library and nothing else.

use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use futures_util::StreamExt as _;
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::web::Data;
use poem::{Body, EndpointExt, Response, Route, Server, get, handler, post};
use tokio::sync::broadcast;

/// A running yardstick server; killed on drop.
pub struct Bare {
    child: Child,
    pub address: SocketAddr,
}

impl Bare {
    pub fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("bare-broadcast")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("it is piped")?).read_line(&mut line)?;
        let address = line.trim().parse()?;
        Ok(Self { child, address })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Channel = broadcast::Sender<bytes::Bytes>;

/// Serves until standard input closes.
pub async fn serve() -> anyhow::Result<()> {
    let (channel, _) = broadcast::channel::<bytes::Bytes>(64);
    let app = Route::new()
        .at("/publish", post(publish))
        .at("/v1/groups/:group/events", get(events))
        .data(channel);
    let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await?;
    let address = acceptor.local_addr();
    let address = address.first().and_then(|at| at.as_socket_addr().copied());
    writeln!(std::io::stdout(), "{}", address.context("an address")?)?;
    let closed = tokio::task::spawn_blocking(|| std::io::stdin().lines().count());
    tokio::select! {
        served = Server::new_with_acceptor(acceptor).run(app) => Ok(served?),
        _ = closed => Ok(()),
    }
}

#[handler]
#[expect(
    clippy::needless_pass_by_value,
    reason = "poem hands its extractors over"
)]
fn publish(channel: Data<&Channel>, text: String) -> String {
    // About as long as a frame of the server.
    let frame = format!("event: message\nid: {}\ndata: {text}\n\n", "x".repeat(300));
    // Sending fails without subscribers, which is fine.
    let _ = channel.send(frame.into());
    String::new()
}

#[handler]
#[expect(
    clippy::needless_pass_by_value,
    reason = "poem hands its extractors over"
)]
fn events(channel: Data<&Channel>) -> Response {
    let frames = futures_util::stream::unfold(channel.subscribe(), |mut channel| async {
        let frame = channel.recv().await.ok()?;
        Some((Ok::<_, std::io::Error>(frame), channel))
    });
    let first = futures_util::stream::once(async { Ok("event: caught_up\n\n".into()) });
    Response::builder()
        .content_type("text/event-stream")
        .body(Body::from_bytes_stream(first.chain(frames)))
}
