//! An example for every body, put together from those of its fields.

use serde_yaml::Value;

use super::{entries, entries_mut, mapping};

/// Gives each body that has none an example.
pub(super) fn add(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    for (_, path) in entries_mut(&mut document["paths"]) {
        for (_, operation) in entries_mut(path) {
            if operation.get("requestBody").is_some() {
                add_to(&mut operation["requestBody"]["content"], &schemas);
            }
            for (_, response) in entries_mut(&mut operation["responses"]) {
                if response.get("content").is_some() {
                    add_to(&mut response["content"], &schemas);
                }
            }
        }
    }
}

fn add_to(content: &mut Value, schemas: &Value) {
    for (_, media_type) in entries_mut(content) {
        if media_type.get("example").is_some() {
            continue;
        }
        let schema = resolved(&media_type["schema"], schemas);
        match schema["oneOf"].as_sequence() {
            Some(kinds) => {
                let kinds = kinds.iter().filter_map(|kind| {
                    let event =
                        resolved(kind, schemas)["properties"]["event"]["enum"][0].as_str()?;
                    Some((event, mapping([("value", example_of(kind, schemas)?)])))
                });
                media_type["examples"] = mapping(kinds);
            }
            None => {
                if let Some(example) = example_of(schema, schemas) {
                    media_type["example"] = example;
                }
            }
        }
    }
}

/// The example of a schema: its own, or one of its parts.
fn example_of(schema: &Value, schemas: &Value) -> Option<Value> {
    let schema = resolved(schema, schemas);
    if let Some(example) = schema.get("example") {
        return Some(example.clone());
    }
    if let Some(first) = schema["enum"].get(0).or(schema["oneOf"].get(0)) {
        return if first.is_mapping() {
            example_of(first, schemas)
        } else {
            Some(first.clone())
        };
    }
    if let Some(items) = schema.get("items") {
        return Some(Value::Sequence(vec![example_of(items, schemas)?]));
    }
    let members = entries(&schema["properties"]);
    let members = members.filter_map(|(name, of)| Some((name, example_of(of, schemas)?)));
    schema.get("properties").map(|_| mapping(members))
}

fn resolved<'a>(schema: &'a Value, schemas: &'a Value) -> &'a Value {
    let name = schema["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next());
    name.map_or(schema, |name| &schemas[name])
}
