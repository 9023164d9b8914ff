//! How a caller stands with a rate limit, as the headers of an answer say it
//! (draft-ietf-httpapi-ratelimit-headers).

use poem::http::{HeaderMap, HeaderName, HeaderValue};

/// The state of one limit after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The name of the limit: a structured-field string without characters to escape.
    pub policy: &'static str,
    /// How many calls are allowed in a window.
    pub quota: u32,
    /// The window in seconds.
    pub window_s: u32,
    /// How many calls are left now.
    pub remaining: u32,
    /// Seconds until the whole quota is there again.
    pub reset_s: u32,
    /// For a call beyond the limit: when the next one is accepted.
    pub retry_after_s: Option<u32>,
}

impl Standing {
    /// Adds `RateLimit-Policy` and `RateLimit`. An answer may have several of both: they are lists.
    pub fn add_to(&self, headers: &mut HeaderMap) {
        const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
        const STATE: HeaderName = HeaderName::from_static("ratelimit");
        let Self {
            policy,
            quota,
            window_s,
            remaining,
            reset_s,
            ..
        } = self;
        let add = |headers: &mut HeaderMap, name, text: String| {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.append(name, value);
            }
        };
        add(
            headers,
            POLICY,
            format!("\"{policy}\";q={quota};w={window_s}"),
        );
        add(
            headers,
            STATE,
            format!("\"{policy}\";r={remaining};t={reset_s}"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_are_structured_fields() {
        let standing = Standing {
            policy: "writes",
            quota: 20,
            window_s: 1,
            remaining: 7,
            reset_s: 1,
            retry_after_s: None,
        };
        let mut headers = HeaderMap::new();

        standing.add_to(&mut headers);

        assert_eq!(headers["ratelimit-policy"], r#""writes";q=20;w=1"#);
        assert_eq!(headers["ratelimit"], r#""writes";r=7;t=1"#);
    }
}
