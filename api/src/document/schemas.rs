//! Schemas as code generators of all languages take them.

use serde_yaml::Value;

use super::mapping;

/// Rewrites every schema of a document.
pub(super) fn finish(value: &mut Value) {
    if let Some(referred) = lone_reference(value) {
        *value = mapping([("$ref", referred)]);
        return;
    }
    number_formats(value);
    match value {
        Value::Mapping(members) => members.values_mut().for_each(finish),
        Value::Sequence(items) => items.iter_mut().for_each(finish),
        _ => {}
    }
}

/// An `allOf` around a reference and a description makes a type of its own of every use.
fn lone_reference(value: &Value) -> Option<Value> {
    let all = value.get("allOf")?.as_sequence()?;
    let mut references = all.iter().filter_map(|schema| schema.get("$ref"));
    let first = references.next()?;
    references.next().is_none().then(|| first.clone())
}

/// OpenAPI knows `int32` and `int64`; generators read any other format as `int32`.
fn number_formats(value: &mut Value) {
    let (format, maximum) = match value.get("format").and_then(Value::as_str) {
        Some("uint64") => ("int64", None),
        Some("uint32") => ("int32", None),
        Some("uint16") => ("int32", Some(u16::MAX)),
        _ => return,
    };
    value["format"] = format.into();
    value["minimum"] = 0.into();
    if let Some(maximum) = maximum {
        value["maximum"] = maximum.into();
    }
}
