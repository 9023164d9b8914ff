//! The frames of a stream and the changes of a long poll, each typed by its `event`.

use serde_yaml::Value;

use super::{entries, mapping, reference};

const FRAME: &str = "A frame of a stream: the fields `event`, `id` and `data` of a server-sent \
event, `data` being JSON in one line. Which kind it is, `event` says. Later versions may send \
other events: pass over what you do not know.";
const CHANGE: &str = "A change of a group. Which kind it is, `event` says; after `reset` take the \
snapshot of the group again. Later versions may send other events: pass over what you do not know.";

/// Adds a schema for each kind of frame and of change, and one for any of them.
pub(super) fn add(schemas: &mut Value, kinds: &Value) {
    let (mut frames, mut changes) = (Vec::new(), Vec::new());
    for (event, kind) in entries(kinds) {
        let stands_in: Vec<&str> = texts(&kind["in"]).collect();
        let name = kind["name"].as_str().expect("a frame has a name");
        let cursor = stands_in.contains(&"id").then_some("id");
        frames.push((event, format!("{name}Frame"), one(event, kind, cursor)));
        if stands_in.contains(&"change") {
            let change = one(event, kind, Some("cursor"));
            changes.push((event, format!("{name}Change"), change));
        }
    }
    for (any, description, kinds) in [("Frame", FRAME, frames), ("Change", CHANGE, changes)] {
        schemas[any] = any_of(description, &kinds);
        for (_, name, mut schema) in kinds {
            schema["title"] = name.as_str().into();
            schemas[name.as_str()] = schema;
        }
    }
}

fn any_of(description: &str, kinds: &[(&str, String, Value)]) -> Value {
    let names = kinds.iter().map(|(_, name, _)| reference("schemas", name));
    let mapped = kinds
        .iter()
        .map(|(event, name, _)| (*event, format!("#/components/schemas/{name}").into()));
    mapping([
        ("description", description.into()),
        ("oneOf", Value::Sequence(names.collect())),
        (
            "discriminator",
            mapping([
                ("propertyName", "event".into()),
                ("mapping", mapping(mapped)),
            ]),
        ),
    ])
}

fn one(event: &str, kind: &Value, cursor: Option<&str>) -> Value {
    let data = match kind.get("data").and_then(Value::as_str) {
        Some(schema) => reference("schemas", schema),
        None => mapping([
            ("type", "object".into()),
            ("description", "An empty object.".into()),
            ("example", mapping([])),
        ]),
    };
    let name = mapping([
        ("type", "string".into()),
        ("description", "Which kind it is.".into()),
        ("enum", Value::Sequence(vec![event.into()])),
    ]);
    let mut properties = vec![("event", name)];
    if let Some(field) = cursor {
        let cursor = mapping([
            ("type", "string".into()),
            (
                "description",
                "Where to go on after it, at any replica.".into(),
            ),
            (
                "example",
                super::overlay()["parameters"]["cursor"]["example"].clone(),
            ),
        ]);
        properties.push((field, cursor));
    }
    properties.push(("data", data));
    let required = properties.iter().map(|(field, _)| Value::from(*field));
    mapping([
        ("type", "object".into()),
        ("title", Value::Null),
        ("description", kind["of"].clone()),
        ("required", Value::Sequence(required.collect())),
        ("properties", mapping(properties)),
    ])
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_sequence()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}
