//! What can go wrong, as a client is told: the one table failure → status, code, retry.
//!
//! Handlers return `Result<_, Problem>`; what the framework turns away before a handler runs
//! becomes a `Problem` in [`Problem::from_framework`]. The edge around the application renders it,
//! because only there the request id is known.

mod document;
mod framework;

pub use document::ProblemBody;

use std::error::Error;

use poem::Response;
use poem::error::ResponseError;
use poem::http::{HeaderValue, StatusCode, header};

/// Why a request was not done. The text of a variant is the `detail` a client reads, therefore
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
    /// Only members may do this.
    #[error("You are not a member of `{group}`. Join it first.")]
    NotAMember {
        /// The group's name.
        group: String,
    },
    /// The address names nothing.
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
    /// A like for a message of one's own.
    #[error("You cannot like your own message.")]
    OwnMessage,
    /// Taking back a like that was not given.
    #[error("You have not liked this message.")]
    NotLiked,
    /// An idempotency key that stands for another message.
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
        /// What is taken.
        limit_bytes: usize,
    },
    /// The body is not declared as JSON.
    #[error("Send the body as JSON, with the header `Content-Type: application/json`.")]
    UnsupportedMediaType,
    /// JSON, but a wrong type, or a field, parameter, name or cursor that cannot be taken.
    #[error("`{field}`: {why}.")]
    Invalid {
        /// The field or parameter.
        field: String,
        /// What is wrong and what would be right, without a full stop.
        why: String,
    },
    /// More requests than this user or address may send.
    #[error("Too many requests. Try again in {retry_after_s} s.")]
    RateLimited {
        /// When the next one will be taken.
        retry_after_s: u32,
    },
    /// A queue is full.
    #[error("This replica has too much to do at the moment. Try again.")]
    Busy,
    /// The machinery does not answer: most often the database.
    #[error("This replica cannot do this at the moment. Try again, here or at another replica.")]
    Unavailable(#[source] Cause),
    /// This replica does not serve yet, or not now; for whoever sends it clients.
    #[error("This replica is not ready: {why}.")]
    NotReady {
        /// A clause for the operator.
        why: String,
    },
    /// The replica does not hold yet what the caller has seen elsewhere.
    #[error("This replica does not hold yet what you have seen elsewhere. Try again.")]
    Behind,
    /// Nothing can be stored any more. What the operator must know is logged once, where it is seen.
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

impl Problem {
    /// A field or parameter that cannot be taken; `why` says what would be right, without a full
    /// stop.
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

    /// The status a client gets.
    pub fn http_status(&self) -> StatusCode {
        self.row().status
    }

    /// The stable word a program tells failures apart by.
    pub fn code(&self) -> &'static str {
        self.row().code
    }

    /// The table.
    pub(crate) fn row(&self) -> Row {
        use StatusCode as S;
        let (status, code, title, retry_after_s) = match self {
            Self::Malformed { .. } => (S::BAD_REQUEST, "malformed", "Not JSON", None),
            Self::Unauthenticated { .. } => {
                (S::UNAUTHORIZED, "unauthenticated", "Log in first", None)
            }
            Self::NotAMember { .. } => (S::FORBIDDEN, "not_a_member", "Members only", None),
            Self::NotFound { .. } => (S::NOT_FOUND, "not_found", "Not found", None),
            Self::MethodNotAllowed { .. } => (
                S::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Method not allowed",
                None,
            ),
            Self::OwnMessage => (S::CONFLICT, "own_message", "Your own message", None),
            Self::NotLiked => (S::CONFLICT, "not_liked", "Not liked", None),
            Self::KeyReused => (S::CONFLICT, "key_reused", "Key used before", None),
            Self::NameTaken { .. } => (S::CONFLICT, "name_taken", "Name taken", None),
            Self::TooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "too_large", "Body too large", None),
            Self::UnsupportedMediaType => (
                S::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Not declared as JSON",
                None,
            ),
            Self::Invalid { .. } => (S::UNPROCESSABLE_ENTITY, "invalid", "Cannot be taken", None),
            Self::RateLimited { retry_after_s } => (
                S::TOO_MANY_REQUESTS,
                "rate_limited",
                "Too many requests",
                Some(*retry_after_s),
            ),
            Self::Busy => (S::SERVICE_UNAVAILABLE, "busy", "Busy", Some(1)),
            Self::Unavailable(_) | Self::NotReady { .. } => (
                S::SERVICE_UNAVAILABLE,
                "unavailable",
                "Unavailable",
                Some(2),
            ),
            Self::Behind => (S::SERVICE_UNAVAILABLE, "behind", "Behind", Some(1)),
            Self::DiskFull => (S::INSUFFICIENT_STORAGE, "disk_full", "Disk full", None),
            Self::Internal(_) => (
                S::INTERNAL_SERVER_ERROR,
                "internal",
                "Internal failure",
                None,
            ),
        };
        Row {
            status,
            code,
            title,
            retry_after_s,
        }
    }

    /// Returns the answer a client gets, and logs the cause of what is not the client's doing.
    pub fn render(&self, request_id: &str) -> Response {
        if let Self::Unavailable(cause) | Self::Internal(cause) = self {
            let code = self.code();
            tracing::error!(request_id, code, cause = %chain(cause.as_ref()), "a request failed");
        }
        let row = self.row();
        let mut response = Response::builder()
            .status(row.status)
            .content_type(ProblemBody::CONTENT_TYPE)
            .body(ProblemBody::of(self, &row, request_id).to_json());
        let headers = response.headers_mut();
        if let Self::Unauthenticated { .. } = self {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Self::MethodNotAllowed { allow } = self
            && let Ok(allow) = HeaderValue::from_str(allow)
        {
            headers.insert(header::ALLOW, allow);
        }
        if let Self::TooLarge { .. } = self {
            // What is left of it may not be read, and then nothing can follow on the connection.
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

/// What a client sent may come back in a sentence, but not at any length.
fn shortened(mut text: String, most_chars: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most_chars) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// An error and what is below it, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        text.push_str(": ");
        text.push_str(&error.to_string());
        below = error.source();
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
    fn what_may_be_tried_again_says_when() {
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
