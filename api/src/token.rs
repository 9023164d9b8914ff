//! Bearer tokens: they name the caller and are signed with the cluster's key, so that every replica
//! can verify them alone.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use causeway_domain::names::{User, UserId};
use poem::http::{HeaderMap, header};
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use crate::keys::{ClusterKeys, KeyId, Purpose, SIGNATURE_BYTES, SigningKeys, Verification};
use crate::problem::Problem;

/// How long a token is valid.
pub const LIFETIME_MS: u64 = 24 * 60 * 60 * 1000;

/// How long an expired token is still accepted, because clocks of replicas differ.
pub const LEEWAY_MS: u64 = 5 * 60 * 1000;

/// Longest token that is decoded.
const MAX_TEXT: usize = 2048;

const VERSION: u8 = 1;

/// The authenticated caller. As an argument of a handler it documents that the operation needs a token,
/// which the edge has checked before anything else of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user: User,
    /// The login session: the same for every call with one token.
    pub session: [u8; 16],
}

/// Issues and verifies tokens.
#[derive(Clone)]
pub struct Tokens {
    keys: SigningKeys,
}

impl Tokens {
    /// Returns the tokens of a cluster.
    pub fn new(keys: &ClusterKeys) -> Self {
        Self {
            keys: keys.for_purpose(Purpose::Tokens),
        }
    }

    /// Returns a token, and when it expires in milliseconds since 1970.
    pub fn issue(&self, caller: &Caller, now_ms: u64) -> (String, u64) {
        let expires_ms = now_ms + LIFETIME_MS;
        let mut bytes = vec![VERSION];
        bytes.extend(expires_ms.to_be_bytes());
        bytes.extend(caller.session);
        put_text(&mut bytes, &caller.user.id.0);
        put_text(&mut bytes, &caller.user.name);
        let (key, signature) = self.keys.sign(&bytes);
        bytes.extend(key);
        bytes.extend(signature);
        (BASE64_URL_SAFE_NO_PAD.encode(bytes), expires_ms)
    }

    /// Returns the caller named by the header `Authorization`.
    ///
    /// # Errors
    ///
    /// `unauthenticated`, with what to do.
    pub fn caller(&self, headers: &HeaderMap, now_ms: u64) -> Result<Caller, Problem> {
        self.check(bearer(headers)?, now_ms)
    }

    /// Checks the text of a token.
    ///
    /// # Errors
    ///
    /// `unauthenticated`: malformed, of another cluster, forged or expired.
    pub fn check(&self, token: &str, now_ms: u64) -> Result<Caller, Problem> {
        let (caller, expires_ms) = self.open(token).ok_or(Problem::Unauthenticated {
            why: "This token is not valid here. Log in again.",
        })?;
        if now_ms > expires_ms.saturating_add(LEEWAY_MS) {
            return Err(Problem::Unauthenticated {
                why: "This token has expired. Log in again.",
            });
        }
        Ok(caller)
    }

    fn open(&self, token: &str) -> Option<(Caller, u64)> {
        if token.len() > MAX_TEXT {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (rest, signature) = bytes.split_last_chunk::<SIGNATURE_BYTES>()?;
        let (claims, key) = rest.split_last_chunk::<{ size_of::<KeyId>() }>()?;
        if self.keys.verify(*key, claims, signature) != Verification::Genuine {
            return None;
        }
        read_claims(claims)
    }
}

fn read_claims(mut claims: &[u8]) -> Option<(Caller, u64)> {
    if claims.split_off_first()? != &VERSION {
        return None;
    }
    let (expires_ms, rest) = claims.split_first_chunk()?;
    let (session, mut rest) = rest.split_first_chunk()?;
    let user = User {
        id: UserId(take_text(&mut rest)?),
        name: take_text(&mut rest)?,
    };
    let caller = Caller {
        user,
        session: *session,
    };
    rest.is_empty()
        .then_some((caller, u64::from_be_bytes(*expires_ms)))
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("ids and names are far below 64 KiB");
    bytes.extend(length.to_be_bytes());
    bytes.extend(text.as_bytes());
}

fn take_text(bytes: &mut &[u8]) -> Option<String> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let refused = |why| Problem::Unauthenticated { why };
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(refused(
        "Log in, and send the token as `Authorization: Bearer <token>`.",
    ))?;
    if values.next().is_some() {
        return Err(refused("Send one `Authorization` header, not several."));
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(token.trim())
    } else {
        Err(refused(
            "Send the token as `Authorization: Bearer <token>`.",
        ))
    }
}

impl<'a> ApiExtractor<'a> for Caller {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        registry.create_security_scheme(
            "token",
            MetaSecurityScheme {
                ty: "http",
                description: Some("The token that `POST /v1/sessions` returns."),
                name: None,
                key_in: None,
                scheme: Some("bearer"),
                bearer_format: None,
                flows: None,
                openid_connect_url: None,
            },
        );
    }

    fn security_schemes() -> Vec<&'static str> {
        vec!["token"]
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<Self::ParamType>,
    ) -> poem::Result<Self> {
        // Put there by the edge; without the edge no request is admitted.
        let caller = request.extensions().get::<Self>().cloned();
        Ok(caller.ok_or(Problem::Unauthenticated {
            why: "Log in first.",
        })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    #[test]
    fn a_token_says_who_calls_at_every_replica() {
        let (token, expires_ms) = tokens(1).issue(&ann(), NOW);

        assert_eq!(tokens(1).check(&token, NOW).unwrap(), ann());
        assert_eq!(expires_ms, NOW + LIFETIME_MS);
        assert!(token.is_ascii() && !token.contains(['=', '+', '/']));
    }

    #[test]
    fn every_version_reads_and_writes_the_same_text() {
        let frozen = "AQAAAaMdgqwACQkJCQkJCQkJCQkJCQkJCQAgMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlh\
                      YmNkZWYABMOkbm714cKOdr8MHZNSQQwo2hXfIy4x_-9p5MaPx-4-YnP-wozwvsA";

        assert_eq!(tokens(1).issue(&ann(), NOW).0, frozen);
        assert_eq!(tokens(1).check(frozen, NOW).unwrap(), ann());
    }

    #[test]
    fn a_token_expires_with_some_leeway() {
        let (token, expires_ms) = tokens(1).issue(&ann(), NOW);

        assert!(tokens(1).check(&token, expires_ms + LEEWAY_MS).is_ok());
        let late = tokens(1).check(&token, expires_ms + LEEWAY_MS + 1);
        assert!(late.unwrap_err().to_string().contains("expired"));
    }

    #[test]
    fn what_was_not_issued_here_is_refused() {
        let (token, _) = tokens(1).issue(&ann(), NOW);
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&token).unwrap();

        for place in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[place] ^= 1;
            let forged = BASE64_URL_SAFE_NO_PAD.encode(forged);
            assert!(tokens(1).check(&forged, NOW).is_err(), "byte {place}");
        }
        for length in 0..bytes.len() {
            let cut = BASE64_URL_SAFE_NO_PAD.encode(&bytes[..length]);
            assert!(tokens(1).check(&cut, NOW).is_err(), "cut at {length}");
        }
        assert!(tokens(2).check(&token, NOW).is_err(), "another cluster's");
        assert!(tokens(1).check("no token", NOW).is_err());
        assert!(tokens(1).check(&"A".repeat(9000), NOW).is_err());
    }

    #[test]
    fn the_header_is_read_as_the_standard_says() {
        let (token, _) = tokens(1).issue(&ann(), NOW);
        let with = |values: &[String]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            tokens(1).caller(&headers, NOW)
        };

        assert!(with(&[format!("Bearer {token}")]).is_ok());
        assert!(with(&[format!("bearer {token}")]).is_ok());
        for refused in [
            vec![],
            vec![token.clone()],
            vec![format!("Basic {token}")],
            vec!["Bearer".into()],
            vec![format!("Bearer {token}"), format!("Bearer {token}")],
        ] {
            assert_eq!(with(&refused).unwrap_err().code(), "unauthenticated");
        }
    }

    fn tokens(key: u8) -> Tokens {
        Tokens::new(&ClusterKeys::new(&[key; 32], None))
    }

    fn ann() -> Caller {
        Caller {
            user: User {
                id: UserId("0123456789abcdef0123456789abcdef".into()),
                name: "änn".into(),
            },
            session: [9; 16],
        }
    }
}
