//! Serves an endpoint over HTTP/1.1.
//!
//! poem's own server does not bound how long the head of a request may take, and spins when accepting
//! fails. HTTP/2 is absent on purpose: there a client that reads nothing does not block the socket, so
//! it could not be distinguished from one that is merely quiet.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use poem::http::Request;
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Endpoint, EndpointExt, IntoEndpoint, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::accept::{Accepted, BoundedAcceptor};
use super::connection::Connection;
use super::heads::{ProblemHeads, crowded};
use super::seats::{Seat, Turn};
use super::transport::{ClientCertificate, Transport};
use crate::problem::Problem;

/// Most buffered bytes of one connection, in each direction.
const BUFFER_BYTES: usize = 64 * 1024;

/// Serves until `stop` is cancelled, then waits up to `grace` for requests in flight and closes the
/// remaining connections, such as streams.
pub async fn serve<E>(
    mut acceptor: BoundedAcceptor,
    transport: Transport,
    application: E,
    stop: CancellationToken,
    grace: Duration,
) where
    E: IntoEndpoint,
    E::Endpoint: 'static,
{
    let application = Arc::new(application.into_endpoint().map_to_response());
    let connections = TaskTracker::new();
    let abort = CancellationToken::new();
    let _abort_on_drop = abort.drop_guard_ref();
    let sweeping = AbortOnDropHandle::new(tokio::spawn(acceptor.sweep()));
    while let Some(accepted) = stop.run_until_cancelled(acceptor.accept()).await {
        let Accepted {
            connection,
            seat,
            local,
            remote,
        } = accepted;
        let peer = Peer {
            local,
            remote,
            scheme: transport.scheme(),
            certificate: None,
        };
        let serving = open_and_serve(
            connection,
            transport.clone(),
            peer,
            seat,
            application.clone(),
            stop.clone(),
        );
        connections.spawn(abort.clone().run_until_cancelled_owned(serving));
    }
    drop((acceptor, sweeping));
    connections.close();
    if timeout(grace, connections.wait()).await.is_err() {
        abort.cancel();
        connections.wait().await;
    }
}

#[derive(Clone)]
struct Peer {
    local: LocalAddr,
    remote: RemoteAddr,
    scheme: Scheme,
    certificate: Option<ClientCertificate>,
}

/// The seat bounds how long a handshake may take, as part of the first request.
async fn open_and_serve<E>(
    connection: Connection,
    transport: Transport,
    peer: Peer,
    seat: Seat,
    application: Arc<E>,
    stop: CancellationToken,
) where
    E: Endpoint<Output = Response> + 'static,
{
    let opened = tokio::select! {
        opened = transport.open(connection) => opened,
        _took_too_long = seat.has_to_close() => None,
        () = stop.cancelled() => None,
    };
    if let Some((io, certificate)) = opened {
        let peer = Peer {
            certificate,
            ..peer
        };
        serve_one(io, peer, seat, application, stop).await;
    }
}

async fn serve_one<I, E>(
    io: I,
    peer: Peer,
    seat: Seat,
    application: Arc<E>,
    stop: CancellationToken,
) where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    E: Endpoint<Output = Response> + 'static,
{
    let turns = seat.turns();
    let is_refused = seat.is_refused();
    let heads = ProblemHeads::new(io, turns.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (application, peer, turn) = (application.clone(), peer.clone(), turns.begin());
        async move {
            let response = if is_refused || turn.is_none() {
                crowded()
            } else {
                if let Some(certificate) = peer.certificate {
                    request.extensions_mut().insert(certificate);
                }
                let request = (request, peer.local, peer.remote, peer.scheme).into();
                application.get_response(request).await
            };
            let response: hyper::Response<_> = response.into();
            Ok::<_, Infallible>(response.map(|body| InTurn { body, _turn: turn }))
        }
    });
    // The seat bounds how long a head may take, and with it the time between two requests.
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(heads), service);
    let mut has_to_close = pin!(seat.has_to_close());
    let ended = tokio::select! {
        ended = &mut connection => Ended::of(ended),
        took_too_long = &mut has_to_close => Ended::Evicted { took_too_long },
        () = stop.cancelled() => {
            Pin::new(&mut connection).graceful_shutdown();
            tokio::select! {
                ended = &mut connection => Ended::of(ended),
                took_too_long = &mut has_to_close => Ended::Evicted { took_too_long },
            }
        }
    };
    let mut heads = connection.into_parts().io.into_inner();
    let last_answer = match ended {
        Ended::OtherVersion => Some(Problem::HttpVersion),
        Ended::Evicted {
            took_too_long: true,
        } => heads.has_begun_a_request().then_some(Problem::TooSlow),
        Ended::ByItself | Ended::Evicted { .. } => None,
    };
    if let Some(problem) = last_answer {
        heads.answer_at_last(&problem).await;
    }
}

/// How the serving of a connection ended.
enum Ended {
    ByItself,
    /// The client speaks HTTP/2 without having been asked.
    OtherVersion,
    Evicted {
        took_too_long: bool,
    },
}

impl Ended {
    /// How a connection ends is up to the client; failed requests are logged elsewhere.
    fn of(outcome: hyper::Result<()>) -> Self {
        match outcome {
            Ok(()) => Self::ByItself,
            Err(error) if error.is_parse_version_h2() => Self::OtherVersion,
            Err(error) => {
                tracing::debug!(%error, "a connection ended early");
                Self::ByItself
            }
        }
    }
}

/// A body whose request is served until it is dropped.
struct InTurn<B> {
    body: B,
    _turn: Option<Turn>,
}

impl<B: Body + Unpin> Body for InTurn<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
