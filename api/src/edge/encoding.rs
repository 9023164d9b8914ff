//! Compressed answers: which encoding a client takes, and JSON compressed for it.
//!
//! Compression gives away how much of a text repeats another part of the same answer (BREACH). For
//! that an attacker has to make a victim's client ask again and again with a text of the attacker's
//! choice beside a secret. A browser adds no token by itself, so a foreign page cannot ask in the
//! victim's name; and the one answer with a secret, a new session, is shorter than what is compressed.

use std::io::Write as _;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use poem::http::{HeaderMap, HeaderValue, header};
use poem::{Body, Response};
use tokio::sync::Semaphore;

/// A shorter answer fits into a packet or two either way.
const LEAST_BYTES: usize = 1_024;
/// A longer answer is compressed beside the threads that serve.
const INLINE_BYTES: usize = 16 * 1024;
/// How many long answers are compressed at once. Any other is sent as it is: large pages for some must
/// not take the processor from all.
static LONG: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(1));

/// Whether a client takes gzip.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut any) = (None, None);
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter();
    for coding in lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
    {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = parameters.trim().strip_prefix("q=").map(str::trim);
        let is_taken = weight.is_none_or(|weight| weight.parse().is_ok_and(|it: f32| it > 0.0));
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") => gzip = Some(is_taken),
            "*" => any = Some(is_taken),
            _ => {}
        }
    }
    gzip.or(any).unwrap_or(false)
}

/// Compresses bytes, as small as gzip can where that is done once for all.
pub(crate) fn gzip(bytes: &[u8], level: Compression) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), level);
    encoder.write_all(bytes).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything").into()
}

/// Compresses the body of an answer in JSON, if it is long enough.
pub(super) async fn compress(response: &mut Response, takes_gzip: bool) {
    let headers = response.headers();
    let media_type = headers.get(header::CONTENT_TYPE);
    if !media_type.is_some_and(is_json) || headers.contains_key(header::CONTENT_ENCODING) {
        return;
    }
    response
        .headers_mut()
        .append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if !takes_gzip {
        return;
    }
    // Answers in JSON are whole; only streams are made while they are sent.
    let Ok(bytes) = response.take_body().into_bytes().await else {
        return;
    };
    let compressed = if bytes.len() < LEAST_BYTES {
        None
    } else if bytes.len() <= INLINE_BYTES {
        Some(gzip(&bytes, Compression::fast()))
    } else {
        long(bytes.clone()).await
    };
    if compressed.is_some() {
        let encoding = HeaderValue::from_static("gzip");
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, encoding);
    }
    response.set_body(Body::from_bytes(compressed.unwrap_or(bytes)));
}

async fn long(bytes: Bytes) -> Option<Bytes> {
    let permit = LONG.try_acquire().ok()?;
    let compressing = tokio::task::spawn_blocking(move || gzip(&bytes, Compression::fast()));
    let compressed = compressing.await.ok();
    drop(permit);
    compressed
}

fn is_json(media_type: &HeaderValue) -> bool {
    let text = media_type.to_str().unwrap_or_default();
    let name = text.split(';').next().unwrap_or_default().trim();
    name == "application/json" || name == "application/problem+json"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_says_which_encodings_it_takes() {
        let takes = |accepted: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            takes_gzip(&headers)
        };

        for accepted in [
            "gzip",
            "GZIP",
            "br, gzip;q=0.5",
            "*",
            "deflate, *;q=0.1",
            "gzip; q=1",
        ] {
            assert!(takes(accepted), "{accepted}");
        }
        for refused in [
            "",
            "br",
            "identity",
            "gzip;q=0",
            "gzip;q=0, *",
            "*;q=0",
            "gzip;q=x",
        ] {
            assert!(!takes(refused), "{refused}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
