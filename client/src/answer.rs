//! What comes back of a call: its body, or why there is none.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A refusal, as RFC 9457 writes it.
#[derive(Debug, Default, Deserialize)]
struct Problem {
    #[serde(default)]
    detail: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    code: String,
}

/// More than any page has, even with the longest messages: an answer beyond it has no end.
const MAX_BODY_BYTES: usize = 64 << 20;
/// The wait before a call is tried again where the server names none, or none at all.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// The longest, whatever it names: a person sits before it.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Why a call gave no answer to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No connection came about: the call was certainly not carried out.
    #[error("{0}")]
    NotConnected(String),
    /// No answer came, so it is not known whether the call was carried out.
    #[error("{0}")]
    Unreachable(String),
    /// Something answered, but not a Causeway server: a proxy without one, a captive portal. It is
    /// not known either whether the call was carried out.
    #[error("the answer is not one of a Causeway server: {0}")]
    Foreign(String),
    /// The server says no, and why.
    #[error("{detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The stable code.
        code: String,
        /// A sentence for people.
        detail: String,
        /// After how many seconds to come back, where the server says so.
        retry_after_s: Option<u64>,
    },
}

impl CallError {
    /// Whether the server refused with this code.
    pub fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }

    /// Whether there is no Causeway server where it was called: then nobody can tell whether the
    /// call was carried out, unless no connection came about.
    pub fn is_lost(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }

    /// How long to wait before the same call is tried again.
    pub fn wait(&self) -> Duration {
        match self {
            Self::Refused {
                retry_after_s: Some(seconds),
                ..
            } => Duration::from_secs(*seconds).clamp(SHORTEST_WAIT, LONGEST_WAIT),
            _ => SHORTEST_WAIT,
        }
    }

    /// Whether the same call may be answered a little later by the same server.
    pub fn passes(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: 429 | 500 | 503 | 507,
                ..
            }
        )
    }
}

/// An answer to a write: what it says, and the mark to wait for elsewhere.
#[derive(Debug)]
pub struct Written<T> {
    /// The body.
    pub body: T,
    /// The header `Causeway-Mark`.
    pub mark: Option<String>,
}

/// What a successful answer is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One JSON value.
    Json,
    /// Server-sent events.
    Stream,
    /// Nothing.
    Empty,
}

pub(crate) async fn read<T: DeserializeOwned>(call: RequestBuilder) -> Result<T, CallError> {
    parsed(answer(call, Kind::Json).await?).await
}

pub(crate) async fn written<T: DeserializeOwned>(
    call: RequestBuilder,
) -> Result<Written<T>, CallError> {
    let response = answer(call, Kind::Json).await?;
    let mark = mark_of(&response);
    Ok(Written {
        body: parsed(response).await?,
        mark,
    })
}

pub(crate) fn mark_of(response: &Response) -> Option<String> {
    let mark = response.headers().get("causeway-mark")?;
    Some(mark.to_str().ok()?.to_owned())
}

pub(crate) async fn answer(call: RequestBuilder, kind: Kind) -> Result<Response, CallError> {
    let response = call.send().await.map_err(|error| unreachable(&error))?;
    let status = response.status();
    if !status.is_success() {
        return Err(refusal(response).await);
    }
    let is_as_promised = match kind {
        Kind::Json => is_of_type(&response, "application/json"),
        Kind::Stream => is_of_type(&response, "text/event-stream"),
        Kind::Empty => status == StatusCode::NO_CONTENT,
    };
    if is_as_promised {
        Ok(response)
    } else {
        Err(foreign(&response))
    }
}

async fn refusal(response: Response) -> CallError {
    let status = response.status().as_u16();
    let retry_after_s = retry_after_of(&response);
    let foreign = foreign(&response);
    if !is_of_type(&response, "application/problem+json") {
        return foreign;
    }
    let problem: Problem = match bounded(response).await {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Err(error) => return error,
    };
    if problem.code.is_empty() {
        return foreign;
    }
    let detail = [problem.detail, problem.title]
        .into_iter()
        .find(|text| !text.is_empty());
    CallError::Refused {
        status,
        detail: detail.unwrap_or_else(|| format!("the server answers `{}`", problem.code)),
        code: problem.code,
        retry_after_s,
    }
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn is_of_type(response: &Response, wanted: &str) -> bool {
    let given = header(response, "content-type").unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    given.eq_ignore_ascii_case(wanted)
}

/// What it was, in a few words.
fn foreign(response: &Response) -> CallError {
    let status = response.status();
    CallError::Foreign(match header(response, "location") {
        Some(address) if status.is_redirection() => {
            format!("{status}, which leads to {}", shortened(address, 60))
        }
        _ if !status.is_success() => status.to_string(),
        _ => match header(response, "content-type") {
            Some(kind) => format!("{status} with {}", shortened(kind, 40)),
            None => format!("{status} with nothing of the kind that was asked for"),
        },
    })
}

/// A header's value, which has no other characters than those of ASCII that are visible.
fn shortened(value: &str, columns: usize) -> String {
    match value.get(..columns - 1) {
        Some(begin) if value.len() > columns => format!("{begin}…"),
        _ => value.to_owned(),
    }
}

fn retry_after_of(response: &Response) -> Option<u64> {
    let seconds = response.headers().get("retry-after")?;
    seconds.to_str().ok()?.trim().parse().ok()
}

async fn parsed<T: DeserializeOwned>(response: Response) -> Result<T, CallError> {
    let bytes = bounded(response).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| CallError::Foreign(format!("its body cannot be read: {error}")))
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, CallError> {
    let mut bytes = Vec::new();
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|error| unreachable(&error))?
    {
        if bytes.len() + piece.len() > MAX_BODY_BYTES {
            return Err(CallError::Foreign("it has no end".into()));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn unreachable(error: &reqwest::Error) -> CallError {
    let said = if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        reason(error)
    };
    if error.is_connect() {
        CallError::NotConnected(said)
    } else {
        CallError::Unreachable(said)
    }
}

/// The innermost reason in a few words: reqwest's own names the address and the layers above.
pub(crate) fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let said = cause.to_string();
    in_plain_words(&said).map_or_else(
        || {
            let said = said.split(" (os error").next().unwrap_or_default();
            match said {
                "" => "connection lost".to_owned(),
                said => said.to_lowercase(),
            }
        },
        str::to_owned,
    )
}

/// What people cannot be expected to make out of a library's words, and what to do.
fn in_plain_words(said: &str) -> Option<&'static str> {
    let known = [
        (
            "failed to lookup address",
            "this host name is not known; check its spelling",
        ),
        (
            "InvalidContentType",
            "TLS is not spoken there; try the address with http://",
        ),
        (
            "invalid HTTP",
            "HTTP is not spoken there; try the address with https://",
        ),
        (
            "UnknownIssuer",
            "its certificate is of no authority that is trusted here; name the authority's file with --ca",
        ),
        (
            "BadSignature",
            "its certificate is of no authority that is trusted here; name the authority's file with --ca",
        ),
        (
            "NotValidForName",
            "its certificate is for another host name; use the name that it is for",
        ),
        (
            "certificate not valid for name",
            "its certificate is for another host name; use the name that it is for",
        ),
        (
            "NotValidYet",
            "its certificate is not valid yet; correct the clock of this machine, or of the one that issued it",
        ),
        (
            "not valid yet",
            "its certificate is not valid yet; correct the clock of this machine, or of the one that issued it",
        ),
        (
            "Expired",
            "its certificate has expired; tell who runs the server",
        ),
        (
            "expired",
            "its certificate has expired; tell who runs the server",
        ),
    ];
    known
        .into_iter()
        .find(|(words, _)| said.contains(words))
        .map(|(_, plain)| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refused_call_waits_as_long_as_the_server_asks() {
        for (header, seconds) in [
            (Some("7"), 7),
            (Some("0"), 1),
            (Some("999999"), 60),
            (Some("soon"), 1),
            (None, 1),
        ] {
            let mut answer = http::Response::builder()
                .status(503)
                .header("Content-Type", "application/problem+json");
            if let Some(value) = header {
                answer = answer.header("Retry-After", value);
            }
            let answer = answer
                .body(r#"{"code":"busy"}"#)
                .expect("it is well formed");

            let refused = refusal(Response::from(answer)).await;

            assert_eq!(refused.wait(), Duration::from_secs(seconds), "{header:?}");
        }
    }

    #[tokio::test]
    async fn only_a_problem_with_a_code_is_a_refusal() {
        let problem = r#"{"code":"busy","detail":"come back"}"#;
        for (status, kind, body, is_refusal) in [
            (503, "application/problem+json", problem, true),
            (502, "text/html", "<h1>502 Bad Gateway</h1>", false),
            (504, "application/json", problem, false),
            (500, "application/problem+json", "{}", false),
            (404, "application/problem+json", "<html>", false),
            (302, "text/html", "", false),
        ] {
            let answer = http::Response::builder()
                .status(status)
                .header("Content-Type", kind)
                .body(body)
                .expect("it is well formed");

            let error = refusal(Response::from(answer)).await;

            assert_eq!(error.is_lost(), !is_refusal, "{status} {kind} {body}");
        }
    }
}
