//! Strict JSON: text that is not JSON and JSON of the wrong shape are different problems.

use serde::de::{DeserializeOwned, IgnoredAny};

use super::wording;
use crate::problem::Problem;

/// Parses a JSON object as `T`, which should deny unknown fields.
///
/// # Errors
///
/// `malformed` for text that is not JSON, whatever else is wrong with it; `invalid`, naming the field,
/// for JSON of another shape.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // RFC 8259 lets a reader pass over the byte order mark that some programs put first.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Nearly every body is valid; the rest finds out what is wrong with the others.
    if bytes.trim_ascii_start().starts_with(b"{")
        && let Ok(value) = serde_json::from_slice(bytes)
    {
        return Ok(value);
    }
    let text = check_json(bytes)?;
    // serde accepts an array of the right length as a struct; the API promises objects.
    if !text.trim_start().starts_with('{') {
        return Err(Problem::invalid("body", "must be a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let said = without_position(&error.into_inner().to_string());
        let why = wording::of_shape(&said);
        match named_field(&said) {
            Some(field) => Problem::invalid(field, why),
            // `?` stands for a name that is no text.
            None if path == "." || path == "?" => Problem::invalid("body", why),
            None => Problem::invalid(path, why),
        }
    })
}

/// Parses the whole text without recursion first, so that a wrong type at the start does not hide that
/// the rest is not JSON.
fn check_json(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.trim_ascii().is_empty() {
        return Err(malformed("it is empty"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
    serde_json::from_str::<IgnoredAny>(text)
        .map_err(|error| malformed(&wording::of_syntax(&error.to_string())))?;
    Ok(text)
}

fn malformed(why: &str) -> Problem {
    Problem::Malformed {
        why: format!("The body is not JSON: {why}."),
    }
}

/// Removes the position in the text with which `serde_json` ends its messages.
fn without_position(message: &str) -> String {
    match message.rfind(" at line ") {
        Some(end) => message[..end].into(),
        None => message.into(),
    }
}

/// Returns the field that the message names instead of the path: one that is missing, unknown or given
/// twice.
fn named_field(message: &str) -> Option<String> {
    let (kind, rest) = message.split_once(" field `")?;
    if !["missing", "unknown", "duplicate"].contains(&kind) {
        return None;
    }
    Some(rest.split('`').next()?.into())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Letter {
        text: String,
        #[serde(default)]
        copies: Option<Vec<Copy>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Copy {
        to: String,
    }

    #[test]
    fn a_letter_is_read() {
        let letter: Letter = parse(br#" {"text": "hi", "copies": [{"to": "ann"}]} "#).unwrap();

        assert_eq!(letter.text, "hi");
        assert_eq!(letter.copies.unwrap()[0].to, "ann");
    }

    #[test]
    fn a_byte_order_mark_in_front_is_passed_over() {
        let letter: Letter = parse("\u{feff} {\"text\": \"\u{feff}hi\"}".as_bytes()).unwrap();

        assert_eq!(letter.text, "\u{feff}hi");
        for body in ["\u{feff}", "\u{feff}\u{feff}{}", "{\u{feff}}"] {
            assert_eq!(refusal(body.as_bytes()).0, "malformed", "{body:?}");
        }
    }

    #[test]
    fn what_is_not_json_is_malformed_whatever_else_is_wrong() {
        for body in [
            "",
            "  ",
            "{",
            "nonsense",
            r#"{"text": "a"} x"#,
            r#"{"text": 5, "#,
            r#"{"unknown": 1} }"#,
            "{'text': 'a'}",
        ] {
            assert_eq!(refusal(body.as_bytes()).0, "malformed", "{body}");
        }
        assert_eq!(refusal(b"{\"text\": \"\xff\"}").0, "malformed");
    }

    #[test]
    fn the_field_that_is_wrong_is_named() {
        for (body, named) in [
            (r#"{"text": 5}"#, "`text`: must be text, not a number."),
            (
                r#"{"text": true}"#,
                "`text`: must be text, not true or false.",
            ),
            (r#"{"text": null}"#, "`text`: must be text, not null."),
            (r#"{"text": ["a"]}"#, "`text`: must be text, not an array."),
            ("{}", "`text`: is missing."),
            (
                r#"{"text": "a", "colour": 1}"#,
                "`colour`: is not known here; known are `text`, `copies`.",
            ),
            (
                r#"{"text": "a", "text": "b"}"#,
                "`text`: may be given only once.",
            ),
            (
                r#"{"text": "a", "copies": [{"to": 1}]}"#,
                "`copies[0].to`: ",
            ),
            (r#"{"text": "\ud800"}"#, "`text`: has half a character, "),
            (r#"{"text": "\ude00"}"#, "`text`: has half a character, "),
            (r#"{"\ud83e": "a"}"#, "`body`: has half a character, "),
            (r#"["a", null]"#, "`body`: "),
            (r#""a""#, "`body`: "),
            ("null", "`body`: "),
        ] {
            let (code, detail) = refusal(body.as_bytes());
            assert_eq!(code, "invalid", "{body}");
            assert!(detail.starts_with(named), "{body}: {detail}");
        }
    }

    #[test]
    fn a_deep_body_is_harmless() {
        let deep = "[".repeat(30_000) + &"]".repeat(30_000);

        assert_eq!(refusal(deep.as_bytes()).0, "invalid");
        assert_eq!(
            refusal(format!(r#"{{"x": {deep}}}"#).as_bytes()).0,
            "invalid"
        );
        assert_eq!(
            refusal(format!(r#"{{"copies": {deep}}}"#).as_bytes()).0,
            "invalid"
        );
        assert_eq!(refusal("[".repeat(60_000).as_bytes()).0, "malformed");
    }

    fn refusal(body: &[u8]) -> (&'static str, String) {
        let problem = parse::<Letter>(body).unwrap_err();
        (problem.code(), problem.to_string())
    }
}
