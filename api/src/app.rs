//! The public application: the documented API, the pages beside it, and the edge around both.

use poem::endpoint::{BoxEndpoint, make, make_sync};
use poem::http::StatusCode;
use poem::{Endpoint, EndpointExt, IntoEndpoint, Request, Response, Route};

use crate::context::{Context, Parts};
use crate::document::Document;
use crate::edge::Edge;
use crate::health;
use crate::problem::Problem;
use crate::routes;

/// Returns the outermost endpoint of the public port.
pub fn app(context: &Context) -> impl Endpoint<Output = Response> + 'static {
    let service = routes::service(context);
    let seed = u64::from_be_bytes(first_half((context.random)()));
    let edge = Edge::new(
        &service.spec(),
        context.tokens.clone(),
        context.wall.clone(),
        seed,
    )
    .page("/healthz")
    .page("/readyz")
    .page("/metrics")
    .page("/docs")
    .page("/openapi.yaml")
    .page("/openapi.json");
    let document = Document::of_generated(&service.spec_yaml());
    let (json, yaml) = (document.to_json(), document.to_yaml());
    let try_it = docs(
        &service.swagger_ui_html(),
        &service.spec(),
        &document.to_page_json(),
    );
    let pages = Route::new()
        .at("/docs", page("text/html; charset=utf-8", try_it))
        .at("/openapi.json", page("application/json", json))
        .at("/openapi.yaml", page("application/yaml", yaml))
        .at("/healthz", page("text/plain", "alive\n".to_owned()))
        .at("/readyz", ready(context.clone()))
        .at("/metrics", metrics(context.clone()))
        .boxed();
    let api = service.into_endpoint();
    edge.around(Application { api, pages })
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

/// What the framework makes of the code.
pub(crate) fn generated_yaml() -> String {
    routes::service(&Context::default()).spec_yaml()
}

/// The page on which the API can be tried. It calls the replica it came from, by whatever address
/// and under whatever path a proxy has put it there.
fn docs(html: &str, generated: &str, document: &str) -> String {
    const SERVERS: &str =
        "[{url: location.pathname.replace(/\\/docs\\/?$/, ''), description: 'This replica'}]";
    let here = format!("Object.assign({document}, {{servers: {SERVERS}}})");
    html.replace(generated, &here)
        .replace("<title>Swagger UI</title>", "<title>Causeway API</title>")
}

fn page(content_type: &'static str, text: String) -> impl Endpoint {
    make_sync(move |_| {
        Response::builder()
            .content_type(content_type)
            .body(text.clone())
    })
}

fn ready(context: Context) -> impl Endpoint {
    make(move |_| {
        let context = context.clone();
        async move {
            match health::unready(&context).await {
                None => Ok(text("ready\n")),
                Some(why) => Err(poem::Error::from(Problem::NotReady { why })),
            }
        }
    })
}

fn metrics(context: Context) -> impl Endpoint {
    make_sync(move |_| {
        let parts: &Parts = &context;
        text(&health::metrics(parts))
    })
    .map_to_response()
}

fn text(text: &str) -> Response {
    Response::builder()
        .status(StatusCode::OK)
        .content_type("text/plain; version=0.0.4")
        .body(text.to_owned())
}

fn first_half(bytes: [u8; 16]) -> [u8; 8] {
    let mut half = [0; 8];
    half.copy_from_slice(&bytes[..8]);
    half
}
