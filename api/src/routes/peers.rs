//! The peer API over HTTP, on the internal port only: hands calls to the replicator.

use std::time::Duration;

use bytes::Bytes;
use causeway_replicator::driver::Replicator;
use causeway_replicator::serve::{Asked, MAX_REQUEST_BYTES, serve};
use causeway_replicator_core::auth::{HEADER, PeerKeys};
use poem::http::{StatusCode, header};
use poem::{Endpoint, Request, Response};

use crate::edge::{BodyLimits, receive};
use crate::problem::Problem;

/// Limits of a peer's request; a slower peer has given it up itself.
const LIMITS: BodyLimits = BodyLimits {
    body_bytes: MAX_REQUEST_BYTES,
    discard_bytes: MAX_REQUEST_BYTES,
    timeout: Duration::from_secs(30),
};

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
        // Without a known key the body is not read, and no signature can be valid.
        let body = if self.keys.are_named_in(text(HEADER)) {
            match receive(body, &LIMITS).await {
                Ok(body) => body,
                Err(Problem::TooLarge { .. }) => return Ok(StatusCode::PAYLOAD_TOO_LARGE.into()),
                Err(_) => return Ok(StatusCode::BAD_REQUEST.into()),
            }
        } else {
            Bytes::new()
        };
        let asked = Asked {
            method: request.method().as_str(),
            path_and_query: path_and_query.map_or("/", |path| path.as_str()),
            signature: text(HEADER),
            accepts_gzip: text("accept-encoding").is_some_and(|takes| takes.contains("gzip")),
            body: &body,
        };
        let served = serve(&self.replicator, &self.keys, asked).await;
        let status =
            StatusCode::from_u16(served.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::builder()
            .status(status)
            .content_type(served.content_type);
        if let Some(signature) = served.signature {
            response = response.header(HEADER, signature);
        }
        if served.is_gzip {
            response = response.header(header::CONTENT_ENCODING, "gzip");
        }
        Ok(response.body(served.body))
    }
}
