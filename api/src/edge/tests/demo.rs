//! A small application behind the edge, and how a test talks to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use causeway_domain::names::{User, UserId};
use poem::http::StatusCode;
use poem::{EndpointExt, Route, get, handler};
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi, OpenApiService};
use reqwest::{Client, RequestBuilder, Response};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::edge::accept::{BoundedAcceptor, ConnectionLimits};
use crate::edge::body::Body;
use crate::edge::seen::SeenCursors;
use crate::edge::serve::serve;
use crate::edge::transport::Transport;
use crate::edge::{BodyLimits, Edge};
use crate::keys::ClusterKeys;
use crate::problem::Problem;
use crate::token::{Caller, LEEWAY_MS, LIFETIME_MS, Tokens};

pub(super) const NOW: u64 = 1_800_000_000_000;

#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
pub(super) struct NewMessage {
    text: String,
    seen: Option<SeenCursors>,
}

struct Api;

#[expect(clippy::unused_async, reason = "the framework asks for async handlers")]
#[OpenApi]
impl Api {
    /// Reads.
    #[oai(path = "/v1/groups/:group", method = "get")]
    async fn read(
        &self,
        _caller: Caller,
        group: Path<String>,
        #[oai(validator(minimum(value = "1"), maximum(value = "500")))] limit: Query<Option<u32>>,
    ) -> Result<Json<String>, Problem> {
        match group.0.as_str() {
            "panic" => panic!("as asked"),
            "disk" => Err(Problem::DiskFull),
            "empty" => Err(Problem::not_found("group `empty`")),
            name if name.contains('\u{fffd}') => Err(Problem::invalid("group", "is no name")),
            name => Ok(Json(format!("{name} {:?}", limit.0))),
        }
    }

    /// Writes.
    #[oai(path = "/v1/groups/:group/messages", method = "post")]
    async fn write(
        &self,
        caller: Caller,
        _group: Path<String>,
        #[oai(name = "Idempotency-Key")] _key: Header<Option<String>>,
        body: Body<NewMessage>,
    ) -> Result<Json<String>, Problem> {
        let seen = body.0.seen.map_or(0, |seen| seen.texts().count());
        Ok(Json(format!("{} {} {seen}", caller.user.name, body.0.text)))
    }

    /// Opens a acceptor without a token.
    #[oai(path = "/v1/open", method = "put")]
    async fn open(&self) -> Result<Json<String>, Problem> {
        Ok(Json("open".into()))
    }
}

#[handler]
fn metrics() -> &'static str {
    "up 1\n"
}

#[handler]
fn bare() -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}

/// More bytes than every buffer between server and reader holds, as fast as they are taken.
#[handler]
fn flood(poem::web::Data(readers): poem::web::Data<&Arc<AtomicU64>>) -> poem::Body {
    let reader = Reader::new(readers);
    let chunks = futures_util::stream::repeat_with(move || {
        let _held = &reader;
        Ok::<_, std::io::Error>(vec![0; 64 * 1024])
    });
    poem::Body::from_bytes_stream(chunks)
}

/// Bytes of `/large`: more than the buffers between server and reader hold.
pub(super) const LARGE: usize = 16 << 20;

#[handler]
fn large() -> Vec<u8> {
    vec![b' '; LARGE]
}

struct Reader(Arc<AtomicU64>);

impl Reader {
    fn new(readers: &Arc<AtomicU64>) -> Self {
        readers.fetch_add(1, Ordering::SeqCst);
        Self(readers.clone())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The application, served.
pub(super) struct Demo {
    pub(super) address: String,
    pub(super) client: Client,
    pub(super) readers: Arc<AtomicU64>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

pub(super) fn document() -> String {
    OpenApiService::new(Api, "demo", "1").spec()
}

impl Demo {
    pub(super) async fn start() -> Self {
        Self::start_with(ConnectionLimits::default()).await
    }

    pub(super) async fn start_with(limits: ConnectionLimits) -> Self {
        Self::start_speaking(Transport::Plain, limits).await
    }

    #[expect(clippy::disallowed_methods, reason = "a test calls like any client")]
    pub(super) async fn start_speaking(transport: Transport, limits: ConnectionLimits) -> Self {
        let readers = Arc::new(AtomicU64::new(0));
        let service = OpenApiService::new(Api, "demo", "1");
        let edge = Edge::new(&service.spec(), tokens(), Arc::new(|| NOW), 1)
            .page("/metrics")
            .page("/bare")
            .page("/flood")
            .page("/large")
            .limits(BodyLimits {
                timeout: Duration::from_millis(500),
                ..BodyLimits::default()
            });
        let application = Route::new()
            .at("/metrics", get(metrics))
            .at("/bare", get(bare))
            .at("/flood", get(flood))
            .at("/large", get(large))
            .nest("/", service)
            .data(readers.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let acceptor = BoundedAcceptor::new("the port", listener, &limits).unwrap();
        let stop = CancellationToken::new();
        let grace = Duration::from_millis(200);
        let serving = tokio::spawn(serve(
            acceptor,
            transport,
            edge.around(application),
            stop.clone(),
            grace,
        ));
        Self {
            address,
            client: Client::new(),
            readers,
            stop,
            serving,
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn read(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path)).bearer_auth(token(NOW))
    }

    pub(super) fn write(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.client
            .post(self.url("/v1/groups/lobby/messages"))
            .bearer_auth(token(NOW))
            .header("content-type", "application/json")
            .body(body)
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

fn tokens() -> Tokens {
    Tokens::new(&ClusterKeys::new(&[1; 32], None))
}

pub(super) fn token(issued_ms: u64) -> String {
    let ann = Caller {
        user: User {
            id: UserId("a".into()),
            name: "ann".into(),
        },
        session: [0; 16],
    };
    tokens().issue(&ann, issued_ms).0
}

pub(super) fn expired_token() -> String {
    token(NOW - LIFETIME_MS - LEEWAY_MS - 1)
}

/// What a refusal says, after checking that it is a whole one.
pub(super) async fn refusal(request: RequestBuilder) -> Refusal {
    let response = request.send().await.unwrap();
    Refusal::of(response).await
}

pub(super) struct Refusal {
    pub(super) response: String,
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) detail: String,
    pub(super) headers: reqwest::header::HeaderMap,
}

impl Refusal {
    async fn of(response: Response) -> Self {
        let headers = response.headers().clone();
        let status = response.status().as_u16();
        assert_eq!(headers["content-type"], "application/problem+json");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        let text = response.text().await.unwrap();
        let body: Value = serde_json::from_str(&text).unwrap();
        let said = |field: &str| body[field].as_str().unwrap().to_owned();
        assert_eq!(body["status"], status);
        assert_eq!(
            said("request_id"),
            headers["x-request-id"].to_str().unwrap()
        );
        assert!(!said("title").is_empty() && said("type").ends_with(&said("code")));
        Self {
            code: said("code"),
            detail: said("detail"),
            response: text,
            status,
            headers,
        }
    }

    pub(super) fn is(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.code.as_str()),
            (status, code),
            "{}",
            self.response
        );
    }
}
