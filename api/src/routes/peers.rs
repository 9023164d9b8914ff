//! The peer API over HTTP, on the internal port only: hands calls to the replicator.

use std::time::Duration;

use causeway_replicator::driver::Replicator;
use causeway_replicator::serve::{Asked, Channel, Served, admit};
use causeway_replicator_core::auth::{HEADER, PeerKeys};
use poem::http::{StatusCode, header};
use poem::{Endpoint, Request, Response};

use crate::edge::transport::ClientCertificate;
use crate::edge::{BodyLimits, receive};
use crate::problem::Problem;

/// How long a body may take; a slower peer has given it up itself.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The endpoint of the internal port.
pub struct Peers {
    /// Handles the calls.
    pub replicator: Replicator,
    /// Verifies the caller.
    pub keys: PeerKeys,
}

impl Endpoint for Peers {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let body = request.take_body();
        let path_and_query = request.uri().path_and_query();
        let text = |name: &str| request.headers().get(name)?.to_str().ok();
        let asked = Asked {
            method: request.method().as_str(),
            path_and_query: path_and_query.map_or("/", |path| path.as_str()),
            signature: text(HEADER),
            accepts_gzip: text("accept-encoding").is_some_and(|takes| takes.contains("gzip")),
            channel: request
                .extensions()
                .get::<ClientCertificate>()
                .map_or(Channel::Plain, |shown| Channel::Certified(shown.replica())),
        };
        let admitted = match admit(&self.replicator, &self.keys, &asked) {
            Ok(admitted) => admitted,
            Err(refused) => return Ok(respond(refused)),
        };
        let limits = BodyLimits {
            body_bytes: admitted.most_bytes(),
            discard_bytes: admitted.most_bytes(),
            timeout: BODY_TIMEOUT,
        };
        let served = match receive(body, &limits).await {
            Ok(body) => admitted.serve(&self.replicator, &body).await,
            Err(Problem::TooLarge { .. }) => admitted.refuse(413),
            Err(_) => admitted.refuse(400),
        };
        Ok(respond(served))
    }
}

fn respond(served: Served) -> Response {
    let status = StatusCode::from_u16(served.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::builder()
        .status(status)
        .content_type(served.content_type);
    match served.signature {
        Some(signature) => response = response.header(HEADER, signature),
        // Who cannot sign has no use for an open connection.
        None => response = response.header(header::CONNECTION, "close"),
    }
    if served.is_gzip {
        response = response.header(header::CONTENT_ENCODING, "gzip");
    }
    response.body(served.body)
}
