//! The headers of every answer: its id, and what a browser must not do with it.

use poem::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::request_id::RequestId;

/// Nothing may be loaded or run, unless a page says what it needs.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

const ALWAYS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Adds them to an answer.
pub(super) fn add(headers: &mut HeaderMap, id: RequestId, is_tls: bool) {
    headers.insert(HeaderName::from_static("x-request-id"), id.into_header());
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let policy = headers.entry(header::CONTENT_SECURITY_POLICY);
    policy.or_insert(HeaderValue::from_static(NOTHING));
    let caching = headers.entry(header::CACHE_CONTROL);
    caching.or_insert(HeaderValue::from_static("no-store"));
    if is_tls {
        // A year, for this name alone.
        let strict = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, strict);
    }
}
