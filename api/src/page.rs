//! Pages that are the same for everybody: made once when first asked for, compressed once, and kept
//! by clients as long as they do not change.

use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use poem::http::{HeaderMap, HeaderValue, StatusCode, header};
use poem::{Endpoint, Request, Response};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::edge::encoding::{gzip, takes_gzip};
use crate::problem::Problem;

/// How long a client may use a page without asking again.
const CACHING: &str = "public, max-age=3600";

/// What a page is made of.
pub(crate) struct Content {
    pub text: String,
    /// What the page may load and run; the edge's own policy allows nothing.
    pub policy: Option<String>,
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self { text, policy: None }
    }
}

/// A page.
pub(crate) struct Page {
    media_type: &'static str,
    make: Arc<dyn Fn() -> Content + Send + Sync>,
    made: OnceCell<Made>,
}

struct Made {
    plain: Bytes,
    gzip: Bytes,
    /// The digest of the text, from which each encoding has its `ETag`.
    digest: String,
    policy: Option<HeaderValue>,
}

impl Page {
    /// A page that `make` returns.
    pub(crate) fn new<C: Into<Content>>(
        media_type: &'static str,
        make: impl Fn() -> C + Send + Sync + 'static,
    ) -> Self {
        Self {
            media_type,
            make: Arc::new(move || make().into()),
            made: OnceCell::new(),
        }
    }

    async fn made(&self) -> Result<&Made, Problem> {
        let making = async || {
            let make = self.make.clone();
            tokio::task::spawn_blocking(move || Made::of(make())).await
        };
        self.made
            .get_or_try_init(making)
            .await
            .map_err(Problem::internal)
    }
}

impl Made {
    fn of(content: Content) -> Self {
        let policy = content
            .policy
            .map(|policy| HeaderValue::try_from(policy).expect("a policy is printable ASCII"));
        let plain = Bytes::from(content.text);
        let digest = Sha256::digest(&plain);
        Self {
            gzip: gzip(&plain, Compression::best()),
            digest: hex::encode(&digest[..16]),
            plain,
            policy,
        }
    }
}

impl Endpoint for Page {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let made = self.made().await?;
        let is_gzip = takes_gzip(request.headers());
        let suffix = if is_gzip { "-gzip" } else { "" };
        let mut response = Response::builder()
            .header(header::ETAG, format!("\"{}{suffix}\"", made.digest))
            .header(header::CACHE_CONTROL, CACHING)
            .header(header::VARY, "Accept-Encoding");
        if let Some(policy) = &made.policy {
            response = response.header(header::CONTENT_SECURITY_POLICY, policy);
        }
        if knows(request.headers(), &made.digest) {
            return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
        }
        response = response.content_type(self.media_type);
        Ok(if is_gzip {
            response
                .header(header::CONTENT_ENCODING, "gzip")
                .body(made.gzip.clone())
        } else {
            response.body(made.plain.clone())
        })
    }
}

/// Whether a client has the page already, in either encoding.
fn knows(headers: &HeaderMap, digest: &str) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter();
    let tags = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','));
    tags.map(str::trim).any(|tag| {
        let text = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
        text == "*" || text.strip_suffix("-gzip").unwrap_or(text) == digest
    })
}
