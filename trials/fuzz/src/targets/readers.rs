//! Input from clients, all of it untrusted.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use causeway_api::cursor::{CursorError, Cursors, MAX_CURSOR_TEXT};
use causeway_api::edge::json;
use causeway_api::edge::parameters::{check_query, make_path_text};
use causeway_api::keys::{ClusterKeys, Purpose, SigningKeys};
use causeway_api::routes::{NewMessage, NewSession, moment};
use causeway_api::token::Tokens;
use causeway_domain::chain::Hash;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::names::Name;
use causeway_domain::stamp::OrderKey;
use causeway_domain::text::{IdempotencyKey, MessageText};
use causeway_replicator_core::instance::Instance;
use causeway_store::timelines::AnchorPoint;
use poem::Request;
use poem::http::{HeaderMap, HeaderValue, header};
use serde::de::{DeserializeOwned, IgnoredAny};

const NOW: u64 = 1_800_000_000_000;
/// The length of a cursor's signature in bytes.
const CURSOR_MAC: usize = 16;

/// Cursors and marks, as parameters and as `Last-Event-ID`: malformed or unsigned ones are refused,
/// and signed ones of any version round-trip.
pub fn cursor(bytes: &[u8]) {
    let cursors = Cursors::new(&keys());
    let decoded = cursors.decode(&String::from_utf8_lossy(bytes));
    assert!(decoded.is_err(), "an invalid signature is refused");

    let signed = sign(&keys().for_purpose(Purpose::Cursors), bytes, CURSOR_MAC);
    match cursors.decode(&signed) {
        Ok(cursor) => {
            let again = cursors.encode(&cursor);
            assert!(again.len() <= signed.len().min(MAX_CURSOR_TEXT));
            assert_eq!(cursors.decode(&again), Ok(cursor));
            let stranger = Cursors::new(&ClusterKeys::new(&[9; 32], None));
            assert_eq!(stranger.decode(&signed), Err(CursorError::UnknownKey));
        }
        Err(error) => assert_eq!(error, CursorError::Junk),
    }
}

/// Tokens in their header: as given, and with a valid signature.
pub fn token(bytes: &[u8]) {
    let tokens = Tokens::new(&keys());
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        headers.insert(header::AUTHORIZATION, value);
    }
    assert!(
        tokens.caller(&headers, NOW).is_err(),
        "an invalid signature is refused"
    );

    let signed = sign(&keys().for_purpose(Purpose::Tokens), bytes, usize::MAX);
    if let Ok(caller) = tokens.check(&signed, NOW) {
        let (again, _) = tokens.issue(&caller, NOW);
        assert_eq!(
            tokens.check(&again, NOW).expect("it was just issued"),
            caller
        );
    }
}

/// Names of users and groups, origins, positions, and other values of one token.
pub fn names(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);

    if let Ok(name) = Name::parse(text) {
        assert!((1..=32).contains(&name.as_str().chars().count()));
        assert_eq!(
            Name::parse(name.as_str()),
            Ok(name.clone()),
            "folding is idempotent"
        );
        assert!(!name.as_str().contains(['\0', '/', ' ', '\n']));
    }
    if let Ok(origin) = text.parse::<Origin>() {
        assert_eq!(origin.to_string().parse(), Ok(origin));
    }
    if let Ok(key) = text.parse::<OrderKey>() {
        assert_eq!(
            key.to_string(),
            text,
            "a position has exactly one text form"
        );
        assert_eq!(AnchorPoint::read(text), AnchorPoint::At(key));
    } else {
        assert_eq!(AnchorPoint::read(text), AnchorPoint::Of(text.to_owned()));
    }
    if let Ok(hash) = text.parse::<Hash>() {
        assert!(hash.to_string().eq_ignore_ascii_case(text));
    }
    if let Ok(instance) = text.parse::<Instance>() {
        assert!(instance.to_string().eq_ignore_ascii_case(text));
    }
    if let Ok(reading) = serde_json::from_str::<Hlc>(text) {
        assert!(i64::try_from(reading.get()).is_ok());
    }
    if let Ok(replica) = serde_json::from_str::<ReplicaId>(text) {
        assert!(replica.get() > 0);
    }
}

/// Message texts, idempotency keys, and times.
pub fn texts(bytes: &[u8]) {
    const MOST: usize = 100;
    let text = &*String::from_utf8_lossy(bytes);

    if let Ok(said) = MessageText::parse(text, MOST) {
        let said = said.as_str();
        assert!((1..=MOST).contains(&said.chars().count()));
        let lines = text.replace("\r\n", "\n").replace('\r', "\n");
        assert!(lines.contains(said), "only the ends are trimmed");
        let again = MessageText::parse(said, MOST).expect("its own encoding can be parsed");
        assert_eq!(again.as_str(), said);
        assert!(!said.contains(['\0', '\u{1b}', '\r']));
    }
    if let Ok(key) = IdempotencyKey::parse(text) {
        assert_eq!(key.as_str(), text);
        assert!((1..=128).contains(&text.len()) && text.is_ascii());
    }
    if let Ok(at_ms) = moment(text) {
        // Years 0 to 9999 have four digits.
        assert!((-62_200_000_000_000..253_500_000_000_000).contains(&at_ms));
    }
}

/// Bodies of requests: an object with the fields of its operation, or the right refusal.
pub fn bodies(bytes: &[u8]) {
    body::<NewSession>(bytes);
    body::<NewMessage>(bytes);
}

fn body<T: DeserializeOwned>(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).ok();
    let is_json = text.is_some_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    match json::parse::<T>(bytes) {
        Ok(_) => assert!(bytes.trim_ascii().starts_with(b"{")),
        Err(problem) if is_json => assert_eq!(problem.code(), "invalid"),
        Err(problem) => assert_eq!(problem.code(), "malformed"),
    }
}

/// The path and query of a request.
pub fn parameters(bytes: &[u8]) {
    let known = ["limit".to_owned(), "after".to_owned(), "é".to_owned()];
    let text = String::from_utf8_lossy(bytes);
    if let Err(problem) = check_query(&text, &known) {
        assert_eq!(problem.code(), "invalid");
    }

    let Ok(uri) = format!("/v1/{text}").parse() else {
        return;
    };
    let mut request = Request::builder().uri(uri).finish();
    make_path_text(&mut request);
    let path = request.uri().path().to_owned();
    let decoded = percent_decoded(&path);
    assert!(String::from_utf8(decoded).is_ok(), "a path is text: {path}");
    make_path_text(&mut request);
    assert_eq!(request.uri().path(), path);
}

fn percent_decoded(path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let escaped = digits
            .filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        match escaped {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    bytes
}

fn sign(keys: &SigningKeys, said: &[u8], signature_bytes: usize) -> String {
    let (id, signature) = keys.sign(said);
    let signature = &signature[..signature_bytes.min(signature.len())];
    BASE64_URL_SAFE_NO_PAD.encode([said, &id, signature].concat())
}

fn keys() -> ClusterKeys {
    ClusterKeys::new(&[7; 32], None)
}
