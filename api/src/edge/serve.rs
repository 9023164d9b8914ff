//! Serves an endpoint over HTTP/1.1.
//!
//! poem's own server does not bound how long the head of a request may take, and spins when accepting
//! fails. HTTP/2 is absent on purpose: there a client that reads nothing does not block the socket, so
//! it could not be distinguished from one that is merely quiet.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::http::Request;
use poem::http::uri::Scheme;
use poem::listener::Acceptor;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Endpoint, EndpointExt, IntoEndpoint, Response};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accept::ConnectionLimits;
use super::heads::ProblemHeads;

/// Most buffered bytes of one connection, in each direction.
const BUFFER_BYTES: usize = 64 * 1024;

/// Serves until `stop` is cancelled, then waits up to `grace` for requests in flight and closes the
/// remaining connections, such as streams.
pub async fn serve<A, E>(
    mut acceptor: A,
    application: E,
    limits: ConnectionLimits,
    stop: CancellationToken,
    grace: Duration,
) where
    A: Acceptor + 'static,
    E: IntoEndpoint,
    E::Endpoint: 'static,
{
    let application = Arc::new(application.into_endpoint().map_to_response());
    let connections = TaskTracker::new();
    let abort = CancellationToken::new();
    let _abort_on_drop = abort.drop_guard_ref();
    while let Some(accepted) = stop.run_until_cancelled(acceptor.accept()).await {
        match accepted {
            Ok((io, local, remote, scheme)) => {
                let peer = Peer {
                    local,
                    remote,
                    scheme,
                };
                let serving = serve_one(io, peer, application.clone(), limits.head, stop.clone());
                connections.spawn(abort.clone().run_until_cancelled_owned(serving));
            }
            Err(error) => tracing::warn!(%error, "cannot accept a connection"),
        }
    }
    drop(acceptor);
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
}

async fn serve_one<I, E>(
    io: I,
    peer: Peer,
    application: Arc<E>,
    head: Duration,
    stop: CancellationToken,
) where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    E: Endpoint<Output = Response> + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (application, peer) = (application.clone(), peer.clone());
        async move {
            let request = (request, peer.local, peer.remote, peer.scheme).into();
            let response = application.get_response(request).await;
            Ok::<hyper::Response<_>, Infallible>(response.into())
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(ProblemHeads::new(io)), service);
    tokio::pin!(connection);
    // How a connection ends is up to the client; failed requests are logged elsewhere.
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
