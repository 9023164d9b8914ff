//! Whether JSON keeps a schema of the API's document: as much of OpenAPI 3.0 as the document uses.

use regex::Regex;
use serde_json::Value;

/// The schemas of a document.
#[derive(Debug)]
pub struct Schemas {
    document: Value,
}

impl Schemas {
    /// Those of a document.
    pub fn of(document: &Value) -> Self {
        Self {
            document: document.clone(),
        }
    }

    /// What a part of the document says or refers to.
    pub fn resolved<'a>(&'a self, part: &'a Value) -> &'a Value {
        let Some(reference) = part["$ref"].as_str() else {
            return part;
        };
        let pointer = reference.strip_prefix('#').expect("it is of this document");
        let found = self.document.pointer(pointer);
        found.unwrap_or_else(|| panic!("{reference} refers to nothing"))
    }

    /// Says what is wrong with a value, if anything is.
    pub fn check(&self, value: &Value, schema: &Value) -> Result<(), String> {
        let schema = self.resolved(schema);
        if let Some(kinds) = schema["oneOf"].as_array() {
            return self.check_one_of(value, schema, kinds);
        }
        if value.is_null() && schema["nullable"] == true {
            return Ok(());
        }
        if let Some(known) = schema["enum"].as_array()
            && !known.contains(value)
        {
            return Err(format!("{value} is none of {known:?}"));
        }
        match schema["type"].as_str() {
            Some("object") => self.check_object(value, schema),
            Some("array") => self.check_array(value, schema),
            Some("string") => check_text(value, schema),
            Some("integer") => check_integer(value, schema),
            Some("boolean") if value.is_boolean() => Ok(()),
            None => Ok(()),
            Some(kind) => Err(format!("{value} is no {kind}")),
        }
    }

    fn check_one_of(&self, value: &Value, schema: &Value, kinds: &[Value]) -> Result<(), String> {
        if let Some(property) = schema["discriminator"]["propertyName"].as_str() {
            let kind = value[property].as_str().unwrap_or_default();
            let mapped = &schema["discriminator"]["mapping"][kind];
            if mapped.is_null() {
                return Err(format!("`{kind}` is no known {property}"));
            }
            return self.check(value, &serde_json::json!({ "$ref": mapped }));
        }
        let kept = kinds.iter().filter(|kind| self.check(value, kind).is_ok());
        match kept.count() {
            1 => Ok(()),
            count => Err(format!("{value} keeps {count} of the schemas, not one")),
        }
    }

    fn check_object(&self, value: &Value, schema: &Value) -> Result<(), String> {
        let members = value.as_object().ok_or(format!("{value} is no object"))?;
        for required in schema["required"].as_array().into_iter().flatten() {
            let name = required.as_str().expect("names are texts");
            if !members.contains_key(name) {
                return Err(format!("`{name}` is missing"));
            }
        }
        for (name, member) in members {
            match schema["properties"].get(name) {
                Some(schema) => self
                    .check(member, schema)
                    .map_err(|wrong| format!("{name}: {wrong}"))?,
                // An answer with a field that is not described is a fault of the description.
                None if schema["properties"].is_object() => {
                    return Err(format!("`{name}` is not described"));
                }
                None => {}
            }
        }
        Ok(())
    }

    fn check_array(&self, value: &Value, schema: &Value) -> Result<(), String> {
        let items = value.as_array().ok_or(format!("{value} is no array"))?;
        let count = items.len() as u64;
        let too_few = schema["minItems"].as_u64().is_some_and(|it| count < it);
        let too_many = schema["maxItems"].as_u64().is_some_and(|it| count > it);
        if too_few || too_many {
            return Err(format!("{count} items"));
        }
        let mut items = items.iter();
        items.try_for_each(|item| self.check(item, &schema["items"]))
    }
}

fn check_text(value: &Value, schema: &Value) -> Result<(), String> {
    let text = value.as_str().ok_or(format!("{value} is no text"))?;
    let count = text.chars().count() as u64;
    let too_short = schema["minLength"].as_u64().is_some_and(|it| count < it);
    let too_long = schema["maxLength"].as_u64().is_some_and(|it| count > it);
    if too_short || too_long {
        return Err(format!("{value} has {count} characters"));
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        let pattern = Regex::new(pattern).expect("a pattern");
        if !pattern.is_match(text) {
            return Err(format!("{value} does not match {pattern}"));
        }
    }
    if schema["format"] == "date-time" {
        let moment: Result<jiff::Timestamp, _> = text.parse();
        moment.map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn check_integer(value: &Value, schema: &Value) -> Result<(), String> {
    let number = value.as_i64().ok_or(format!("{value} is no integer"))?;
    let too_small = schema["minimum"].as_i64().is_some_and(|it| number < it);
    let too_large = schema["maximum"].as_i64().is_some_and(|it| number > it);
    let is_32 = schema["format"] == "int32";
    let does_not_fit = is_32 && i32::try_from(number).is_err();
    if too_small || too_large || does_not_fit {
        return Err(format!("{number} is out of bounds"));
    }
    Ok(())
}
