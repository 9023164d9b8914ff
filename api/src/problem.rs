//! Why a request fails, as reported to clients: the one table from failure to status, code and retry.
//!
//! Handlers return `Result<_, Problem>`; what the framework rejects before a handler runs becomes a
//! `Problem` in [`Problem::from_framework`]. The edge around the application renders it, because
//! only the edge knows the request id.

mod document;
mod framework;

pub use document::ProblemBody;
pub(crate) use document::examples;

use std::error::Error;

use poem::Response;
use poem::error::ResponseError;
use poem::http::{HeaderValue, StatusCode, header};

/// Why a request failed. The text of a variant is the `detail` that a client reads, and therefore
/// whole sentences; a [`Cause`] is for the log and never leaves the server.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The body is not JSON, or did not arrive.
    #[error("{why}")]
    Malformed {
        /// A sentence.
        why: String,
    },
    /// No token, or not a valid one.
    #[error("{why}")]
    Unauthenticated {
        /// A sentence.
        why: &'static str,
    },
    /// Something that nobody may do here.
    #[error("{why}")]
    Forbidden {
        /// A sentence.
        why: &'static str,
    },
    /// Only members may do this.
    #[error("You are not a member of `{group}`. Join it first.")]
    NotAMember {
        /// The group's name.
        group: String,
    },
    /// The address, or the resource it names, does not exist.
    #[error("There is no {what} here.")]
    NotFound {
        /// Such as ``group `lobby` ``.
        what: String,
    },
    /// The address exists, the method does not.
    #[error("This address takes {allow} only.")]
    MethodNotAllowed {
        /// The methods, with commas: the value of `Allow`.
        allow: String,
    },
    /// A like for one's own message.
    #[error("You cannot like your own message.")]
    OwnMessage,
    /// Withdrawal of a like that was not given.
    #[error("You have not liked this message.")]
    NotLiked,
    /// An idempotency key that was used for another message.
    #[error("This `Idempotency-Key` was used for another message. Send a new key.")]
    KeyReused,
    /// An account of this name exists.
    #[error("The name `{name}` is taken. Choose another one.")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The body is too long.
    #[error("The body is too large. Send at most {limit_bytes} bytes.")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The address is longer than any.
    #[error("The address of the request is too long. It may have at most 65,534 bytes.")]
    UriTooLong,
    /// The headers are too long or too many.
    #[error(
        "The head of the request is too large. Up to 64 KiB with up to 100 headers are always taken."
    )]
    HeadTooLarge,
    /// The body is not declared as JSON.
    #[error("Send the body as JSON, with the header `Content-Type: application/json`.")]
    UnsupportedMediaType,
    /// The body is compressed.
    #[error("Send the body as it is, without `Content-Encoding`.")]
    EncodedBody,
    /// JSON of the wrong shape, or a field, parameter, name or cursor that is not valid.
    #[error("`{field}`: {why}.")]
    Invalid {
        /// The field or parameter.
        field: String,
        /// What is wrong and what would be valid, without a full stop.
        why: String,
    },
    /// More requests than this user or address may send.
    #[error("Too many requests. Try again in {retry_after_s} s.")]
    RateLimited {
        /// When the next request will be accepted.
        retry_after_s: u32,
    },
    /// The head of a request did not arrive in time.
    #[error("The request did not arrive in time. Send it at once.")]
    TooSlow,
    /// Another version of HTTP.
    #[error("Only HTTP/1.1 and HTTP/1.0 are served here.")]
    HttpVersion,
    /// All connections are in use, or all of one address.
    #[error(
        "This replica has no connection free, or your address has too many. Close some, try again, or use another replica."
    )]
    TooManyConnections,
    /// A queue is full.
    #[error("This replica has too much to do at the moment. Try again.")]
    Busy,
    /// The machinery does not answer, most often the database.
    #[error("This replica cannot do this at the moment. Try again, here or at another replica.")]
    Unavailable(#[source] Cause),
    /// This replica is not ready to serve clients; for load balancers.
    #[error("This replica is not ready: {why}.")]
    NotReady {
        /// A clause for the operator.
        why: String,
    },
    /// The replica does not hold yet what the caller has seen at another one.
    #[error("This replica does not hold yet what you have seen elsewhere. Try again.")]
    Behind,
    /// The disk is nearly full. The operator's part is logged once, where it is noticed.
    #[error(
        "The disk of this replica is nearly full, so it takes no writes until there is room again; reading goes on. Write at another replica."
    )]
    DiskFull,
    /// A defect of ours.
    #[error("Something went wrong in this replica. Its log has the cause under the request id.")]
    Internal(#[source] Cause),
}

/// Why, for the log.
pub type Cause = Box<dyn Error + Send + Sync>;

/// One line of the table.
pub(crate) struct Row {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    /// Seconds after which the same request may succeed unchanged.
    pub(crate) retry_after_s: Option<u32>,
}

impl Row {
    fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self {
            status,
            code,
            title,
            retry_after_s: None,
        }
    }

    fn retry(self, after_s: u32) -> Self {
        Self {
            retry_after_s: Some(after_s),
            ..self
        }
    }
}

impl Problem {
    /// A field or parameter that is not valid; `why` says what would be, without a full stop.
    pub fn invalid(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid {
            field: shortened(field.into(), 64),
            why: shortened(why.into(), 256),
        }
    }

    /// Something that does not exist, such as ``group `lobby` ``.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }

    /// A defect of ours.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::Internal(cause.into())
    }

    /// A database or peer that does not answer.
    pub fn unavailable(cause: impl Into<Cause>) -> Self {
        Self::Unavailable(cause.into())
    }

    /// Returns the status of the response.
    pub fn http_status(&self) -> StatusCode {
        self.row().status
    }

    /// Returns the stable code by which programs tell failures apart.
    pub fn code(&self) -> &'static str {
        self.row().code
    }

    /// The table.
    pub(crate) fn row(&self) -> Row {
        use StatusCode as S;
        let row = Row::new;
        match self {
            Self::Malformed { .. } => row(S::BAD_REQUEST, "malformed", "Not JSON"),
            Self::Unauthenticated { .. } => row(S::UNAUTHORIZED, "unauthenticated", "Log in first"),
            Self::Forbidden { .. } => row(S::FORBIDDEN, "forbidden", "Forbidden"),
            Self::NotAMember { .. } => row(S::FORBIDDEN, "not_a_member", "Members only"),
            Self::NotFound { .. } => row(S::NOT_FOUND, "not_found", "Not found"),
            Self::MethodNotAllowed { .. } => row(
                S::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Method not allowed",
            ),
            Self::OwnMessage => row(S::CONFLICT, "own_message", "Your own message"),
            Self::NotLiked => row(S::CONFLICT, "not_liked", "Not liked"),
            Self::KeyReused => row(S::CONFLICT, "key_reused", "Key used before"),
            Self::NameTaken { .. } => row(S::CONFLICT, "name_taken", "Name taken"),
            Self::TooLarge { .. } => row(S::PAYLOAD_TOO_LARGE, "too_large", "Body too large"),
            Self::UriTooLong => row(S::URI_TOO_LONG, "too_large", "Address too long"),
            Self::HeadTooLarge => {
                let status = S::REQUEST_HEADER_FIELDS_TOO_LARGE;
                row(status, "too_large", "Head too large")
            }
            Self::UnsupportedMediaType | Self::EncodedBody => {
                let code = "unsupported_media_type";
                row(S::UNSUPPORTED_MEDIA_TYPE, code, "Not declared as JSON")
            }
            Self::Invalid { .. } => row(S::UNPROCESSABLE_ENTITY, "invalid", "Cannot be taken"),
            Self::RateLimited { retry_after_s } => {
                row(S::TOO_MANY_REQUESTS, "rate_limited", "Too many requests").retry(*retry_after_s)
            }
            Self::TooSlow => row(S::REQUEST_TIMEOUT, "too_slow", "Too slow"),
            Self::HttpVersion => {
                let status = S::HTTP_VERSION_NOT_SUPPORTED;
                row(status, "http_version", "Version of HTTP not supported")
            }
            Self::TooManyConnections => row(S::SERVICE_UNAVAILABLE, "busy", "Busy").retry(5),
            Self::Busy => row(S::SERVICE_UNAVAILABLE, "busy", "Busy").retry(1),
            Self::Unavailable(_) | Self::NotReady { .. } => {
                row(S::SERVICE_UNAVAILABLE, "unavailable", "Unavailable").retry(2)
            }
            Self::Behind => row(S::SERVICE_UNAVAILABLE, "behind", "Behind").retry(1),
            Self::DiskFull => row(S::INSUFFICIENT_STORAGE, "disk_full", "Disk full"),
            Self::Internal(_) => row(S::INTERNAL_SERVER_ERROR, "internal", "Internal failure"),
        }
    }

    /// Returns the body of the response, JSON.
    pub(crate) fn body(&self, request_id: &str) -> Vec<u8> {
        ProblemBody::of(self, &self.row(), request_id).to_json()
    }

    /// Returns the response for a client, and logs the cause of a failure that is ours.
    pub fn render(&self, request_id: &str) -> Response {
        if let Self::Unavailable(cause) | Self::Internal(cause) = self {
            let code = self.code();
            tracing::error!(request_id, code, cause = %chain(cause.as_ref()), "a request failed");
        }
        let row = self.row();
        let mut response = Response::builder()
            .status(row.status)
            .content_type(ProblemBody::CONTENT_TYPE)
            .body(self.body(request_id));
        let headers = response.headers_mut();
        if let Self::Unauthenticated { .. } = self {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Self::MethodNotAllowed { allow } = self
            && let Ok(allow) = HeaderValue::from_str(allow)
        {
            headers.insert(header::ALLOW, allow);
        }
        if let Self::EncodedBody = self {
            headers.insert(
                header::ACCEPT_ENCODING,
                HeaderValue::from_static("identity"),
            );
        }
        if let Self::TooLarge { .. } = self {
            // The rest of the body may stay unread, and then nothing can follow on the connection.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(seconds) = row.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        self.http_status()
    }

    fn as_response(&self) -> Response {
        self.render("")
    }
}

/// Bounds text of a client that is repeated in a sentence.
fn shortened(mut text: String, max_chars: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(max_chars) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Returns an error and its sources in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_cause_of_a_failure_stays_inside() {
        let problem = Problem::internal("password of the database is `hunter2`");

        let mut response = problem.render("r-1");

        let body = response.take_body().into_string().await.unwrap();
        assert!(!body.contains("hunter2"), "{body}");
        assert!(body.contains("\"request_id\":\"r-1\""), "{body}");
    }

    #[test]
    fn a_problem_that_may_be_retried_says_when() {
        let headers = |problem: Problem| problem.render("").headers().clone();

        assert_eq!(headers(Problem::Busy)[header::RETRY_AFTER], "1");
        assert_eq!(
            headers(Problem::RateLimited { retry_after_s: 7 })[header::RETRY_AFTER],
            "7"
        );
        assert!(
            !headers(Problem::DiskFull).contains_key(header::RETRY_AFTER),
            "waiting makes no room"
        );
    }
}
