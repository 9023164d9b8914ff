//! The public application: the documented API, the pages beside it, and the edge around both; and
//! the application of a port for metrics alone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use poem::endpoint::{BoxEndpoint, make, make_sync};
use poem::{Endpoint, EndpointExt, IntoEndpoint, Request, Response, Route};

use crate::config::MetricsListen;
use crate::context::Context;
use crate::docs;
use crate::document::Document;
use crate::edge::cors::Origins;
use crate::edge::host::PublicHost;
use crate::edge::{Edge, WallClock};
use crate::health;
use crate::limits::Callers;
use crate::page::Page;
use crate::problem::Problem;
use crate::routes;

/// How long metrics are used again before they are gathered anew.
const METRICS_AGE: Duration = Duration::from_secs(1);

/// Returns the outermost endpoint of the public port.
pub fn app(context: &Context) -> impl Endpoint<Output = Response> + 'static {
    let service = routes::service(context);
    let mut edge = edge(context, &service.spec());
    let mut pages = Route::new();
    if context.config.metrics_listen == MetricsListen::Public {
        edge = edge.page("/metrics");
        pages = pages.at("/metrics", metrics(context.clone()));
    }
    for path in [
        "/healthz",
        "/readyz",
        "/docs",
        "/openapi.yaml",
        "/openapi.json",
    ] {
        edge = edge.page(path);
    }
    let (own, too) = (context.clone(), context.clone());
    let json = move || own_document(&own).to_json();
    let yaml = move || own_document(&too).to_yaml();
    let pages = pages
        .at("/docs", Page::new("text/html; charset=utf-8", docs::page))
        .at("/openapi.json", Page::new("application/json", json))
        .at("/openapi.yaml", Page::new("application/yaml", yaml))
        .at("/healthz", make_sync(|_| text("text/plain", "alive\n")))
        .at("/readyz", ready(context.clone()))
        .boxed();
    let api = service.into_endpoint();
    edge.around(Application { api, pages })
}

/// Returns the outermost endpoint of a port for metrics.
pub fn metrics_app(context: &Context) -> impl Endpoint<Output = Response> + 'static {
    let pages = Route::new().at("/metrics", metrics(context.clone()));
    edge(context, r#"{"paths":{}}"#)
        .page("/metrics")
        .around(pages)
}

fn edge(context: &Context, document: &str) -> Edge {
    let seed = u64::from_be_bytes(first_half((context.random)()));
    let wall: WallClock = context.wall.clone();
    let urls = context.config.replicas.iter();
    Edge::new(document, context.tokens.clone(), wall, seed)
        .public_host(PublicHost::of_url(&context.config.own_address().public_url))
        .origins(Origins::of_urls(urls.map(|known| &*known.public_url)))
        .callers(Callers::new(&context.config, context.limits.rates.clone()))
}

/// The documented API and the pages beside it. The edge admits no other address.
struct Application {
    api: BoxEndpoint<'static>,
    pages: BoxEndpoint<'static>,
}

impl Endpoint for Application {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let is_api = request.uri().path().starts_with("/v1/");
        let part = if is_api { &self.api } else { &self.pages };
        part.call(request).await
    }
}

/// Returns the document of the API as YAML.
pub fn openapi_yaml() -> String {
    Document::of_generated(&generated_yaml()).to_yaml()
}

/// The document as this replica serves it.
fn own_document(context: &Context) -> Document {
    let document = Document::of_generated(&generated_yaml());
    let url = &context.config.own_address().public_url;
    document.of_replica(url, context.limits())
}

/// What the framework makes of the code.
pub(crate) fn generated_yaml() -> String {
    routes::service(&Context::default()).spec_yaml()
}

fn ready(context: Context) -> impl Endpoint {
    make(move |_| {
        let context = context.clone();
        async move {
            match health::unready(&context).await {
                None => Ok(text("text/plain", "ready\n")),
                Some(why) => Err(poem::Error::from(Problem::NotReady { why })),
            }
        }
    })
}

/// The metrics as they were at most a second ago: gathering them costs more than any other page.
fn metrics(context: Context) -> impl Endpoint {
    let gathered: Arc<Mutex<Option<(Instant, Bytes)>>> = Arc::default();
    make_sync(move |_| {
        let mut gathered = gathered.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (_, metrics) = match gathered.take() {
            Some(recent) if now.duration_since(recent.0) < METRICS_AGE => gathered.insert(recent),
            _ => gathered.insert((now, health::metrics(&context).into())),
        };
        text("text/plain; version=0.0.4", metrics.clone())
    })
    .map_to_response()
}

fn text(media_type: &str, text: impl Into<poem::Body>) -> Response {
    Response::builder().content_type(media_type).body(text)
}

fn first_half(bytes: [u8; 16]) -> [u8; 8] {
    let mut half = [0; 8];
    half.copy_from_slice(&bytes[..8]);
    half
}
