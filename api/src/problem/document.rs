//! Problems as the body of a response, and in the API document.

use poem_openapi::registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Object};
use serde::Serialize;

use super::{Problem, Row};

/// Why a request failed (RFC 9457).
#[derive(Debug, Serialize, Object)]
#[oai(rename = "Problem", read_only_all = false)]
pub struct ProblemBody {
    /// A URI that stands for the code.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub kind: String,
    /// What happened, the same text for every request with this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened to this request, and what to do.
    pub detail: String,
    /// The stable code by which programs tell failures apart; each response lists those of its status.
    /// A response that is not `application/problem+json` with a `code` is not from a Causeway server.
    pub code: String,
    /// The id of this request, as in the header `X-Request-Id` and in the server's log.
    pub request_id: String,
}

impl ProblemBody {
    /// The media type of RFC 9457.
    pub const CONTENT_TYPE: &'static str = "application/problem+json";

    pub(super) fn of(problem: &Problem, row: &Row, request_id: &str) -> Self {
        Self {
            kind: format!("urn:causeway:problem:{}", row.code),
            title: row.title.into(),
            status: row.status.as_u16(),
            detail: problem.to_string(),
            code: row.code.into(),
            request_id: request_id.into(),
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("six plain fields are always JSON")
    }
}

/// Every status with its codes, for the API document; a test compares it with the table.
const DOCUMENTED: [(u16, &str); 15] = [
    (400, "`malformed`: the body is not JSON"),
    (
        401,
        "`unauthenticated`: no token, or one that is wrong or has expired",
    ),
    (
        403,
        "`not_a_member`: only members of the group may do this; `forbidden`: nobody may do this here",
    ),
    (404, "`not_found`"),
    (
        405,
        "`method_not_allowed`: an older server, which does not have this operation yet; `Allow` \
         names those that this address has",
    ),
    (
        409,
        "`own_message`, `not_liked`, `key_reused` or `name_taken`",
    ),
    (413, "`too_large`: the body is above the limit"),
    (414, "`too_large`: the address is above the limit"),
    (
        415,
        "`unsupported_media_type`: the body is not declared as JSON",
    ),
    (
        422,
        "`invalid`: a field or parameter is not valid; `detail` names it",
    ),
    (429, "`rate_limited`: try again after `Retry-After` seconds"),
    (
        431,
        "`too_large`: the head of the request is above the limit",
    ),
    (500, "`internal`: a failure of the replica"),
    (
        503,
        "`busy`, `unavailable` or `behind`: try again after `Retry-After` seconds",
    ),
    (507, "`disk_full`: the replica cannot store any more"),
];

impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        let responses = DOCUMENTED
            .iter()
            .map(|&(status, description)| MetaResponse {
                description,
                status: Some(status),
                status_range: None,
                content: vec![MetaMediaType {
                    content_type: ProblemBody::CONTENT_TYPE,
                    schema: ProblemBody::schema_ref(),
                }],
                headers: headers_of(status),
            })
            .collect();
        MetaResponses { responses }
    }

    fn register(registry: &mut Registry) {
        ProblemBody::register(registry);
    }
}

fn headers_of(status: u16) -> Vec<MetaHeader> {
    let header = |name: &str, description: &str, schema| MetaHeader {
        name: name.into(),
        description: Some(description.into()),
        required: true,
        deprecated: false,
        schema,
    };
    match status {
        401 => vec![header(
            "WWW-Authenticate",
            "Always `Bearer`.",
            String::schema_ref(),
        )],
        405 => vec![header(
            "Allow",
            "The methods of this address.",
            String::schema_ref(),
        )],
        429 | 503 => vec![header(
            "Retry-After",
            "Seconds to wait before the same request is sent again.",
            u32::schema_ref(),
        )],
        _ => vec![],
    }
}

/// A body for every code: its status, the code, what is answered.
pub(crate) fn examples() -> impl Iterator<Item = (u16, &'static str, ProblemBody)> {
    one_of_each().into_iter().map(|problem| {
        let row = problem.row();
        let body = ProblemBody::of(&problem, &row, "9c5e1f3a7b2d4680-1f");
        (row.status.as_u16(), row.code, body)
    })
}

fn one_of_each() -> Vec<Problem> {
    let lobby = || "lobby".to_owned();
    vec![
        Problem::Malformed {
            why: "The body is not JSON: it ends too early, at line 1 column 9.".into(),
        },
        Problem::Unauthenticated {
            why: "Log in, and send the token as `Authorization: Bearer <token>`.",
        },
        Problem::Forbidden {
            why: "This server is open to its own machine only, under a name of that machine or the \
                  one in its `public_url`.",
        },
        Problem::NotAMember { group: lobby() },
        Problem::not_found("group `lobby`"),
        Problem::MethodNotAllowed {
            allow: "GET, HEAD".into(),
        },
        Problem::OwnMessage,
        Problem::NotLiked,
        Problem::KeyReused,
        Problem::NameTaken { name: "ann".into() },
        Problem::TooLarge {
            limit_bytes: 65_536,
        },
        Problem::UriTooLong,
        Problem::HeadTooLarge,
        Problem::EncodedBody,
        Problem::UnsupportedMediaType,
        Problem::invalid("limit", "must be 1 to 500"),
        Problem::RateLimited { retry_after_s: 1 },
        Problem::TooSlow,
        Problem::HttpVersion,
        Problem::TooManyConnections,
        Problem::Busy,
        Problem::unavailable("down"),
        Problem::Behind,
        Problem::DiskFull,
        Problem::internal("defect"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_the_table_is_documented_with_its_code() {
        for problem in one_of_each() {
            let row = problem.row();
            // No operation can document what is refused before its address is known.
            if ["too_slow", "http_version"].contains(&row.code) {
                continue;
            }
            let documented = DOCUMENTED
                .iter()
                .find(|(status, _)| *status == row.status.as_u16())
                .map(|(_, description)| *description);
            let quoted = format!("`{}`", row.code);
            assert!(
                documented.is_some_and(|description| description.contains(&quoted)),
                "{quoted} is not documented at {}",
                row.status
            );
        }
    }
}
