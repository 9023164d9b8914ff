//! Strict parameters: each is known, given once, and UTF-8.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use poem::Request;
use poem::http::Uri;
use poem::http::uri::PathAndQuery;

use super::routes::Operation;
use crate::problem::Problem;

/// Refuses a query parameter or header that the operation would otherwise silently ignore.
///
/// # Errors
///
/// An unknown or repeated query parameter, one that is not UTF-8, a repeated header, or one that
/// is not printable ASCII.
pub(crate) fn check(request: &Request, operation: &Operation) -> Result<(), Problem> {
    if let Some(known) = &operation.query {
        check_query(request.uri().query().unwrap_or_default(), known)?;
    }
    for name in &operation.headers {
        check_header(request, name)?;
    }
    Ok(())
}

/// Refuses a query with a parameter that is unknown, repeated, or not UTF-8.
///
/// # Errors
///
/// `invalid`, naming the parameter.
pub fn check_query(query: &str, known: &[String]) -> Result<(), Problem> {
    let mut seen: Vec<String> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = text(name)
            .ok_or_else(|| Problem::invalid(name, "the name of a parameter must be UTF-8"))?;
        if !known.contains(&name) {
            return Err(Problem::invalid(name, unknown(known)));
        }
        if seen.contains(&name) {
            return Err(Problem::invalid(name, "may be given only once"));
        }
        if text(value).is_none() {
            return Err(Problem::invalid(name, "must be UTF-8"));
        }
        seen.push(name);
    }
    Ok(())
}

fn unknown(known: &[String]) -> String {
    if known.is_empty() {
        return "is not known here; there are no parameters".into();
    }
    let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("is not known here; known are {}", known.join(", "))
}

fn check_header(request: &Request, name: &str) -> Result<(), Problem> {
    let mut values = request.headers().get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(());
    };
    if values.next().is_some() {
        return Err(Problem::invalid(name, "may be given only once"));
    }
    // The framework treats any other value as if the header were absent.
    if value.to_str().is_err() {
        return Err(Problem::invalid(name, "must be printable ASCII"));
    }
    Ok(())
}

fn text(encoded: &str) -> Option<String> {
    let spaced = encoded.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

/// Makes the path UTF-8: other bytes become U+FFFD, which no name and no id contains, so that the
/// handler refuses it like any other unknown name. The framework would drop the parameter.
pub fn make_path_text(request: &mut Request) {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
    let path = request.uri().path();
    if percent_decode_str(path).decode_utf8().is_ok() {
        return;
    }
    let segments: Vec<String> = path
        .split('/')
        .map(|segment| {
            let decoded = percent_decode_str(segment).decode_utf8_lossy();
            utf8_percent_encode(&decoded, ESCAPED).to_string()
        })
        .collect();
    let mut parts = request.uri().clone().into_parts();
    let query = request.uri().query();
    let rewritten = match query {
        Some(query) => format!("{}?{query}", segments.join("/")),
        None => segments.join("/"),
    };
    parts.path_and_query = PathAndQuery::try_from(rewritten).ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_known_given_once_and_text() {
        let known = ["limit".to_owned(), "after".to_owned()];
        let why = |query: &str| check_query(query, &known).map_err(|problem| problem.to_string());

        assert_eq!(why(""), Ok(()));
        assert_eq!(why("limit=5&after=%C3%A9&"), Ok(()));
        assert_eq!(
            why("lim=5").unwrap_err(),
            "`lim`: is not known here; known are `limit`, `after`."
        );
        assert_eq!(
            why("limit=5&limit=6").unwrap_err(),
            "`limit`: may be given only once."
        );
        assert_eq!(why("after=%FF").unwrap_err(), "`after`: must be UTF-8.");
        assert!(why("%FF=1").is_err());
    }

    #[test]
    fn a_path_that_is_not_utf_8_becomes_one_that_names_nothing() {
        let rewritten = |path: &str| {
            let mut request = Request::builder().uri(path.parse().unwrap()).finish();
            make_path_text(&mut request);
            request.uri().to_string()
        };

        assert_eq!(rewritten("/v1/%C3%A9%2Fb?x=1"), "/v1/%C3%A9%2Fb?x=1");
        assert_eq!(rewritten("/v1/a%FF%2Fb/c?x=1"), "/v1/a%EF%BF%BD%2Fb/c?x=1");
    }
}
