//! The edge between the network and the handlers. It knows which addresses exist (from the generated
//! API document), authenticates callers, bounds bodies, and makes every failure a [`Problem`]. It
//! knows nothing of groups and messages.
//!
//! A request is checked in this order: address, method, token, parameters, body; then the handler
//! decides. So a caller without a token learns only that the address exists.

pub mod accept;
mod admission;
pub mod body;
mod connection;
pub mod cors;
pub(crate) mod encoding;
mod episode;
mod headers;
mod heads;
pub mod host;
pub mod json;
pub mod parameters;
mod receive;
mod request_id;
mod routes;
mod seats;
pub mod seen;
pub mod serve;
#[cfg(test)]
mod tests;
pub mod transport;
mod wording;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use poem::http::uri::Scheme;
use poem::http::{HeaderValue, header};
use poem::{Body, Endpoint, EndpointExt, IntoEndpoint, Request, Response};
use tracing::Instrument;

use self::cors::Origins;
use self::host::PublicHost;
use self::receive::discard;
use self::request_id::RequestIds;
use self::routes::{Operation, Routes};
use crate::limits::{self, Call, Callers};
use crate::problem::{Problem, ProblemBody};
use crate::token::Tokens;

pub use self::receive::BodyLimits;
pub(crate) use self::receive::receive;

/// Returns the wall time in milliseconds since 1970.
pub type WallClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The edge, before it is put around an application.
pub struct Edge {
    routes: Routes,
    tokens: Tokens,
    now_ms: WallClock,
    request_ids: RequestIds,
    limits: BodyLimits,
    public_host: PublicHost,
    origins: Origins,
    callers: Callers,
}

impl Edge {
    /// Returns the edge of the operations in an API document, as `OpenApiService::spec`
    /// writes it. `seed` distinguishes the request ids of this process from those of others.
    pub fn new(document: &str, tokens: Tokens, now_ms: WallClock, seed: u64) -> Self {
        Self {
            routes: Routes::of_document(document),
            tokens,
            now_ms,
            request_ids: RequestIds::new(seed),
            limits: BodyLimits::default(),
            public_host: PublicHost::default(),
            origins: Origins::default(),
            callers: Callers::default(),
        }
    }

    /// Replaces the default limits of one user or address.
    #[must_use]
    pub fn callers(mut self, callers: Callers) -> Self {
        self.callers = callers;
        self
    }

    /// Names the host under which a port of this machine alone may be asked, besides its own names.
    #[must_use]
    pub fn public_host(mut self, host: PublicHost) -> Self {
        self.public_host = host;
        self
    }

    /// Names the origins whose pages may call.
    #[must_use]
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// Adds an address outside the document, such as `/metrics`: `GET` and `HEAD`, no token, any
    /// query. An address that is neither in the document nor added is 404.
    #[must_use]
    pub fn page(mut self, path: &str) -> Self {
        self.routes.add(path, "GET", Operation::default());
        self
    }

    /// Replaces the default limits.
    #[must_use]
    pub fn limits(mut self, limits: BodyLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Puts the edge around an application: the outermost endpoint of the public port.
    pub fn around<E>(self, application: E) -> impl Endpoint<Output = Response> + 'static
    where
        E: IntoEndpoint,
        E::Endpoint: 'static,
    {
        Guarded {
            edge: self,
            application: application.into_endpoint().map_to_response(),
        }
    }

    /// Checks the head of a request, and adds the caller to its extensions.
    fn admit(&self, request: &mut Request) -> Result<&Operation, Problem> {
        let local = request.local_addr().as_socket_addr();
        let is_loopback = local.is_some_and(|it| it.ip().to_canonical().is_loopback());
        let (uri, headers) = (request.uri(), request.headers());
        self.public_host.check(uri, headers, is_loopback)?;
        let operation = self.routes.find(request.method(), request.uri().path())?;
        if operation.needs_token {
            let caller = self.tokens.caller(request.headers(), (self.now_ms)())?;
            request.extensions_mut().insert(caller);
        }
        parameters::check(request, operation)?;
        parameters::make_path_text(request);
        Ok(operation)
    }
}

/// What an answer has to suit.
struct Head {
    origin: Option<HeaderValue>,
    takes_gzip: bool,
    is_tls: bool,
}

impl Head {
    fn of(request: &Request, origins: &Origins) -> Self {
        Self {
            origin: origins.allowed(request.headers()),
            takes_gzip: encoding::takes_gzip(request.headers()),
            is_tls: *request.scheme() == Scheme::HTTPS,
        }
    }
}

struct Guarded<E> {
    edge: Edge,
    application: E,
}

impl<E: Endpoint<Output = Response>> Endpoint for Guarded<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let id = self.edge.request_ids.of(request.headers());
        let answer_to = Head::of(&request, &self.edge.origins);
        let span = tracing::info_span!("request", id = id.as_str());
        let call = self.edge.callers.call(&request);
        let answer = self.answer(request, &call).instrument(span);
        let answer = AssertUnwindSafe(answer).catch_unwind();
        let outcome = match answer.await {
            Ok(outcome) => outcome.and_then(only_success),
            Err(panic) => Err(panicked(panic.as_ref())),
        };
        let mut response = outcome.unwrap_or_else(|problem| problem.render(id.as_str()));
        encoding::compress(&mut response, answer_to.takes_gzip).await;
        cors::add(response.headers_mut(), answer_to.origin);
        headers::add(response.headers_mut(), id, answer_to.is_tls);
        limits::hold(&mut response);
        call.add_headers(response.headers_mut());
        Ok(response)
    }
}

impl<E: Endpoint<Output = Response>> Guarded<E> {
    async fn answer(&self, mut request: Request, call: &Arc<Call>) -> Result<Response, Problem> {
        let limits = &self.edge.limits;
        let asks = self
            .edge
            .origins
            .preflight(request.method(), request.headers());
        if let Some(preflight) = asks {
            return Ok(preflight);
        }
        let admitted = self.edge.admit(&mut request);
        let counted = self.edge.callers.count(call, &request);
        let operation = match counted.and(admitted) {
            Ok(operation) => operation,
            Err(problem) => {
                // A client that asks whether to send its body gets no `100 Continue`.
                if !request.headers().contains_key(header::EXPECT) {
                    discard(request.take_body(), limits).await;
                }
                return Err(problem);
            }
        };
        let body = request.take_body();
        if operation.takes_body {
            if request.headers().contains_key(header::CONTENT_ENCODING) {
                discard(body, limits).await;
                return Err(Problem::EncodedBody);
            }
            request.set_body(Body::from_bytes(receive(body, limits).await?));
        } else {
            discard(body, limits).await;
        }
        let turn = self.edge.callers.turn(call, &request).await?;
        let served = call.clone().serve(turn, self.application.call(request));
        served.await.map_err(Problem::from_framework)
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Problem {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("nothing");
    Problem::internal(format!("a handler panicked: {message}"))
}

/// Some parts of the framework return failures as ordinary responses.
fn only_success(response: Response) -> Result<Response, Problem> {
    let status = response.status();
    let is_failure = status.is_client_error() || status.is_server_error();
    if is_failure && response.content_type() != Some(ProblemBody::CONTENT_TYPE) {
        return Err(Problem::from_status(
            status,
            "the framework returned this status",
        ));
    }
    Ok(response)
}
