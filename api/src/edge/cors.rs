//! Cross-origin requests: pages of the cluster's own public URLs may call this replica, and no
//! others. Nothing here is needed by programs that are not browsers.
//!
//! Credentials are never allowed: a token is in a header that a page has to know, so there is nothing
//! that a browser adds by itself.

use poem::Response;
use poem::http::uri::Scheme;
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};

/// What a page may send. Whatever else a client of the API needs is allowed without being named.
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, \
X-Request-Id, Cache-Control";
const ALLOWED_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// What a page may read of an answer.
const EXPOSED_HEADERS: &str = "Causeway-Mark, X-Request-Id, Retry-After, RateLimit, \
RateLimit-Policy, ETag, Allow, WWW-Authenticate";
/// How long a browser may remember what it was allowed, in seconds: browsers keep it no longer.
const MAX_AGE: &str = "7200";

/// The origins whose pages may call this replica.
#[derive(Clone, Debug, Default)]
pub struct Origins(Vec<String>);

impl Origins {
    /// Returns the origins of URLs.
    pub fn of_urls<'a>(urls: impl IntoIterator<Item = &'a str>) -> Self {
        Self(urls.into_iter().filter_map(origin).collect())
    }

    /// Answers a browser that asks whether a page may send a request; `None` for all other requests.
    pub(super) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        let asks = method == Method::OPTIONS
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
            && self.allowed(headers).is_some();
        asks.then(|| {
            Response::builder()
                .status(StatusCode::NO_CONTENT)
                .header(header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS)
                .header(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS)
                .header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE)
                .finish()
        })
    }

    /// Returns the origin of a request whose page may read the answer.
    pub(super) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let (Some(origin), None) = (origins.next(), origins.next()) else {
            return None;
        };
        let is_ours = self
            .0
            .iter()
            .any(|ours| ours.as_bytes() == origin.as_bytes());
        is_ours.then(|| origin.clone())
    }
}

/// Lets a page of this origin read an answer.
pub(super) fn add(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    const ALLOW: HeaderName = header::ACCESS_CONTROL_ALLOW_ORIGIN;
    const EXPOSE: HeaderName = header::ACCESS_CONTROL_EXPOSE_HEADERS;
    // Also for answers without an origin: a cache must not give them to a page.
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(ALLOW, origin);
        headers.insert(EXPOSE, HeaderValue::from_static(EXPOSED_HEADERS));
    }
}

/// Returns the origin of a URL as browsers write it: without the usual port, lower case.
fn origin(url: &str) -> Option<String> {
    let url: Uri = url.parse().ok()?;
    let (scheme, host) = (url.scheme()?, url.host()?.to_ascii_lowercase());
    let usual = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    Some(match url.port_u16().filter(|port| *port != usual) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends_for_the_url() {
        let of = |url: &str| origin(url).unwrap();

        assert_eq!(of("https://Chat.Example/below"), "https://chat.example");
        assert_eq!(of("https://chat.example:443"), "https://chat.example");
        assert_eq!(of("http://chat.example:443"), "http://chat.example:443");
        assert_eq!(of("http://[::1]:12001"), "http://[::1]:12001");
    }

    #[test]
    fn pages_of_the_cluster_are_allowed_and_no_others() {
        let origins = Origins::of_urls(["https://a.example", "http://127.0.0.1:12002/chat"]);
        let allowed = |sent: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for origin in sent {
                headers.append(header::ORIGIN, HeaderValue::from_static(origin));
            }
            origins.allowed(&headers).is_some()
        };

        assert!(allowed(&["https://a.example"]));
        assert!(allowed(&["http://127.0.0.1:12002"]));
        for foreign in [
            "null",
            "*",
            "http://a.example",
            "https://a.example:8443",
            "https://a.example.evil.example",
            "https://evil.example",
            "",
        ] {
            assert!(!allowed(&[foreign]), "{foreign}");
        }
        assert!(!allowed(&["https://a.example", "https://a.example"]));
    }
}
