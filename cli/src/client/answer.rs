//! What comes back of a call: its body, or why there is none.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;

use crate::wire::Problem;

/// More than any page has, even with the longest messages: an answer beyond it has no end.
const MAX_BODY_BYTES: usize = 64 << 20;
/// The wait before a call is tried again where the server names none, or none at all.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// The longest, whatever it names: a person sits before it.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Why a call gave no answer to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No answer came, so it is not known whether the call was carried out.
    #[error("{0}")]
    Unreachable(String),
    /// The server says no, and why.
    #[error("{detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The stable code, empty where the answer names none.
        code: String,
        /// A sentence for people.
        detail: String,
        /// After how many seconds to come back, where the server says so.
        retry_after_s: Option<u64>,
    },
    /// The answer is not of the API.
    #[error("the answer is not one of a Causeway server: {0}")]
    Malformed(String),
}

impl CallError {
    /// Whether the server refused with this code.
    pub fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
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
                status: 429 | 503,
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

pub(super) async fn read<T: DeserializeOwned>(call: RequestBuilder) -> Result<T, CallError> {
    parsed(answer(call).await?).await
}

pub(super) async fn written<T: DeserializeOwned>(
    call: RequestBuilder,
) -> Result<Written<T>, CallError> {
    let response = answer(call).await?;
    let mark = mark_of(&response);
    Ok(Written {
        body: parsed(response).await?,
        mark,
    })
}

pub(super) fn mark_of(response: &Response) -> Option<String> {
    let mark = response.headers().get("causeway-mark")?;
    Some(mark.to_str().ok()?.to_owned())
}

pub(super) async fn answer(call: RequestBuilder) -> Result<Response, CallError> {
    let response = call.send().await.map_err(|error| unreachable(&error))?;
    if response.status().is_success() {
        return Ok(response);
    }
    Err(refusal(response).await)
}

async fn refusal(response: Response) -> CallError {
    let status = response.status();
    let retry_after_s = retry_after_of(&response);
    let problem: Problem = match bounded(response).await {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Err(_) => Problem::default(),
    };
    let detail = [problem.detail, problem.title]
        .into_iter()
        .find(|text| !text.is_empty());
    CallError::Refused {
        status: status.as_u16(),
        code: problem.code,
        detail: detail.unwrap_or_else(|| plain(status)),
        retry_after_s,
    }
}

fn retry_after_of(response: &Response) -> Option<u64> {
    let seconds = response.headers().get("retry-after")?;
    seconds.to_str().ok()?.trim().parse().ok()
}

fn plain(status: StatusCode) -> String {
    format!("the server answers {status}")
}

async fn parsed<T: DeserializeOwned>(response: Response) -> Result<T, CallError> {
    let bytes = bounded(response).await?;
    serde_json::from_slice(&bytes).map_err(|error| CallError::Malformed(error.to_string()))
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, CallError> {
    let mut bytes = Vec::new();
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|error| unreachable(&error))?
    {
        if bytes.len() + piece.len() > MAX_BODY_BYTES {
            return Err(CallError::Malformed("it has no end".into()));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// The innermost reason in a few words: reqwest's own names the address and the layers above.
fn unreachable(error: &reqwest::Error) -> CallError {
    if error.is_timeout() {
        return CallError::Unreachable("no answer in time".into());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let said = cause.to_string();
    let said = said.split(" (os error").next().unwrap_or_default();
    let said = if said.is_empty() {
        "connection lost"
    } else {
        said
    };
    CallError::Unreachable(said.to_lowercase())
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
            let mut answer = http::Response::builder().status(503);
            if let Some(value) = header {
                answer = answer.header("Retry-After", value);
            }
            let answer = answer.body(Vec::new()).expect("it is well formed");

            let refused = refusal(Response::from(answer)).await;

            assert_eq!(refused.wait(), Duration::from_secs(seconds), "{header:?}");
        }
    }
}
