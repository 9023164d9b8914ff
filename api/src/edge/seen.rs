//! The field `seen` of a new message.

use std::borrow::Cow;
use std::fmt;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// What an author had read and written: one or two cursors or marks, as one text or an array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SeenCursors(Vec<String>);

const EXPECTED: &str = "a cursor or mark, or an array of one or two of them";

impl SeenCursors {
    /// Returns the one or two texts.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl<'de> Deserialize<'de> for SeenCursors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrTwo)
    }
}

struct OneOrTwo;

impl<'de> Visitor<'de> for OneOrTwo {
    type Value = SeenCursors;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<SeenCursors, E> {
        Ok(SeenCursors(vec![text.into()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<SeenCursors, A::Error> {
        let mut seen = Vec::with_capacity(2);
        while let Some(text) = texts.next_element()? {
            seen.push(text);
            if seen.len() > 2 {
                return Err(A::Error::invalid_length(seen.len(), &self));
            }
        }
        if seen.is_empty() {
            return Err(A::Error::invalid_length(0, &self));
        }
        Ok(SeenCursors(seen))
    }
}

impl Type for SeenCursors {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "seen".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        // The document says nothing of the one text, because generators for several languages
        // make types of such a choice that do not compile.
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            items: Some(Box::new(String::schema_ref())),
            min_items: Some(1),
            max_items: Some(2),
            ..MetaSchema::new("array")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for SeenCursors {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        serde_json::from_value(value.unwrap_or_default()).map_err(ParseError::custom)
    }
}

impl ToJSON for SeenCursors {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.clone().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_two_texts_are_accepted() {
        let texts = |json: &str| {
            let seen: SeenCursors = serde_json::from_str(json).unwrap();
            seen.texts().map(String::from).collect::<Vec<_>>()
        };

        assert_eq!(texts(r#""a""#), ["a"]);
        assert_eq!(texts(r#"["a"]"#), ["a"]);
        assert_eq!(texts(r#"["a", "b"]"#), ["a", "b"]);
    }

    #[test]
    fn anything_else_is_refused_with_what_is_expected() {
        for json in ["5", "{}", "null", "[]", r#"["a", "b", "c"]"#, "[1]"] {
            let error = serde_json::from_str::<SeenCursors>(json)
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(EXPECTED) || error.contains("expected a string"),
                "{json}: {error}"
            );
        }
    }
}
