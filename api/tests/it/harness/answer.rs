//! One answer of a server, and what may be demanded of it.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// Status, headers and body of an answer, read to the end.
#[derive(Debug)]
pub struct Answer {
    /// What was asked, for the sentence that says what went wrong.
    pub call: String,
    /// The HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub body: String,
}

impl Answer {
    /// Sends a request and reads its answer; an error is one of the network.
    pub async fn to(request: reqwest::RequestBuilder) -> Result<Self, String> {
        let (client, request) = request.build_split();
        let request = request.map_err(|error| format!("not a request: {error}"))?;
        let call = format!("{} {}", request.method(), request.url());
        let failed = |error: reqwest::Error| format!("{call}: {error:?}");
        let response = client.execute(request).await.map_err(failed)?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = response.text().await.map_err(failed)?;
        Ok(Self {
            call,
            status,
            headers,
            body,
        })
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{}: not JSON ({error}): {}", self.call, self.body))
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("headers are text"))
    }

    /// The mark that every write answers with.
    #[track_caller]
    pub fn mark(&self) -> String {
        let mark = self.header("causeway-mark");
        mark.unwrap_or_else(|| panic!("{} came without a mark", self.call))
            .to_owned()
    }

    /// Demands this status and returns the body (null where there is none).
    #[track_caller]
    pub fn with(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.call, self.body);
        assert!(
            self.header("x-request-id").is_some(),
            "{}: no X-Request-Id",
            self.call
        );
        if self.body.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// Demands a refusal in the form that every refusal has, and returns its `detail`.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> String {
        let (call, body) = (&self.call, &self.body);
        assert_eq!(self.status, status, "{call}: {body}");
        let media_type = self.header("content-type").unwrap_or_default();
        assert!(
            media_type.starts_with("application/problem+json"),
            "{call}: {media_type}"
        );
        let problem = self.json();
        assert_eq!(problem["code"], code, "{call}: {body}");
        assert_eq!(problem["status"], status, "{call}: {body}");
        for field in ["type", "title", "detail", "request_id"] {
            let text = problem[field].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{call}: `{field}` says nothing: {body}");
        }
        assert_eq!(
            problem["request_id"].as_str(),
            self.header("x-request-id"),
            "{call}"
        );
        self.has_the_headers_of(status);
        problem["detail"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn has_the_headers_of(&self, status: u16) {
        let demanded = match status {
            401 => "www-authenticate",
            405 => "allow",
            429 | 503 => "retry-after",
            _ => return,
        };
        assert!(
            self.header(demanded).is_some(),
            "{}: no {demanded}",
            self.call
        );
    }
}
