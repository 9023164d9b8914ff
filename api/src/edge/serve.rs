//! Serving an endpoint on accepted connections, HTTP/1.1.
//!
//! poem's own server has no bound on how long the head of a request may take, and spins when
//! accepting fails. HTTP/2 is left out on purpose: there a reader that takes nothing does not
//! stop the socket, so it could not be told from one that is merely quiet.

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
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::accept::ConnectionLimits;

/// Most bytes of one connection that wait, read or to be written.
const BUFFER_BYTES: usize = 64 * 1024;

/// Serves until `stop` is done, then lets requests in flight end for up to `grace` and closes
/// what is left, streams among it.
pub async fn serve<A, E>(
    mut acceptor: A,
    application: E,
    limits: ConnectionLimits,
    stop: impl Future<Output = ()>,
    grace: Duration,
) where
    A: Acceptor + 'static,
    E: IntoEndpoint,
    E::Endpoint: 'static,
{
    let application = Arc::new(application.into_endpoint().map_to_response());
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(_ended) = connections.join_next() => {}
            accepted = acceptor.accept() => match accepted {
                Ok((io, local, remote, scheme)) => {
                    let peer = Peer { local, remote, scheme };
                    let serving =
                        serve_one(io, peer, application.clone(), limits.head, stopped.clone());
                    connections.spawn(serving);
                }
                Err(error) => tracing::warn!(%error, "cannot accept a connection"),
            }
        }
    }
    drop(acceptor);
    stopping.send_replace(true);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    drop(timeout(grace, all_ended).await);
    connections.shutdown().await;
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
    mut stopped: watch::Receiver<bool>,
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
        .serve_connection(TokioIo::new(io), service);
    tokio::pin!(connection);
    // How a connection ends is the client's business; failures of requests are logged as such.
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = async { drop(stopped.wait_for(|stopped| *stopped).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
