//! Pure: what serde says of JSON, in sentences for somebody who does not know serde.

/// JSON of another shape; `said` is without the position.
pub(super) fn of_shape(said: &str) -> String {
    if said.starts_with("missing field") {
        return "is missing".into();
    }
    if said.starts_with("duplicate field") {
        return "may be given only once".into();
    }
    if let Some(rest) = said.strip_prefix("unknown field ") {
        return unknown(rest);
    }
    if said.contains("hex escape") {
        return "has half a character, a lone `\\uD800` to `\\uDFFF`: write both halves, or the \
                character itself"
            .into();
    }
    if let Some((found, expected)) = said
        .strip_prefix("invalid type: ")
        .and_then(|rest| rest.split_once(", expected "))
    {
        return format!("must be {}, not {}", expected_kind(expected), kind(found));
    }
    match said.split_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid ") => {
            format!("must be {}", expected_kind(expected))
        }
        _ => said.into(),
    }
}

/// Text that is not JSON; `said` ends with the position.
pub(super) fn of_syntax(said: &str) -> String {
    match said.strip_prefix("EOF while parsing") {
        Some(rest) => match rest.find(" at line ") {
            Some(place) => format!("it ends too early,{}", &rest[place..]),
            None => "it ends too early".into(),
        },
        None => said.into(),
    }
}

/// `` `x`, expected one of `a`, `b` ``.
fn unknown(rest: &str) -> String {
    match rest.split_once(", expected ") {
        Some((_, known)) => {
            let known = known.trim_start_matches("one of ").replace(" or ", ", ");
            format!("is not known here; known are {known}")
        }
        None => "is not known here; there are no fields".into(),
    }
}

fn expected_kind(expected: &str) -> &str {
    match expected {
        "a string" => "text",
        "struct" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    }
}

fn kind(found: &str) -> &str {
    let word = found.split([' ', '`']).next().unwrap_or(found);
    match word {
        "null" | "unit" => "null",
        "boolean" => "true or false",
        "integer" | "floating" => "a number",
        "string" => "text",
        "sequence" => "an array",
        "map" => "an object",
        _ => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_is_put_into_plain_words() {
        for (said, plain) in [
            (
                "invalid type: null, expected a string",
                "must be text, not null",
            ),
            (
                "invalid type: map, expected a string",
                "must be text, not an object",
            ),
            (
                "invalid type: floating point `1.5`, expected u64",
                "must be u64, not a number",
            ),
            (
                "invalid length 0, expected one or two cursors",
                "must be one or two cursors",
            ),
            (
                "unknown field `x`, expected `a`",
                "is not known here; known are `a`",
            ),
            (
                "unknown field `x`, expected `a` or `b`",
                "is not known here; known are `a`, `b`",
            ),
            (
                "unknown field `x`, there are no fields",
                "is not known here; there are no fields",
            ),
            ("something new", "something new"),
        ] {
            assert_eq!(of_shape(said), plain);
        }
        assert_eq!(
            of_syntax("EOF while parsing an object at line 1 column 11"),
            "it ends too early, at line 1 column 11"
        );
    }
}
