//! The document of the API as clients are given it: what the framework generates from the code,
//! with what it cannot say laid over it from `overlay.yaml`. Pure; called once, by `app`.
//!
//! The edge goes on reading the generated document, so nothing here changes what the server does.

mod examples;
mod frames;
mod operations;
mod schemas;

use serde_yaml::{Mapping, Value};

use crate::config::Limits;

/// What stands beside this file.
const OVERLAY: &str = include_str!("document/overlay.yaml");

/// The document of the API.
#[derive(Clone, Debug)]
pub struct Document(Value);

impl Document {
    /// Finishes a generated document, YAML.
    pub fn of_generated(yaml: &str) -> Self {
        let mut document: Value =
            serde_yaml::from_str(yaml).expect("the framework writes its document as YAML");
        let overlay = overlay();
        lay_over(&mut document, &overlay["document"]);
        schemas::finish(&mut document);
        lay_over(&mut document["components"]["schemas"], &overlay["schemas"]);
        frames::add(&mut document["components"]["schemas"], &overlay["frames"]);
        operations::finish(&mut document, &overlay);
        examples::add(&mut document);
        Self(document)
    }

    /// As a replica serves it: with its address, and with the bounds of its settings.
    #[must_use]
    pub fn of_replica(mut self, public_url: &str, limits: &Limits) -> Self {
        self.0["servers"] = Value::Sequence(vec![mapping([
            ("url", public_url.into()),
            ("description", "This replica.".into()),
        ])]);
        let draft = &mut self.0["components"]["schemas"]["MessageDraft"]["properties"];
        draft["text"]["maxLength"] = limits.max_text_chars.into();
        self
    }

    /// As it is committed.
    pub fn to_yaml(&self) -> String {
        let yaml = serde_yaml::to_string(&self.0).expect("a document is YAML");
        yaml.lines().map(quote_text).collect()
    }

    /// As a page for trying it needs it, which fills in every example: without those of parameters
    /// that may be left out.
    pub fn to_page_json(&self) -> String {
        let mut document = self.0.clone();
        for (_, path) in entries_mut(&mut document["paths"]) {
            for (_, operation) in entries_mut(path) {
                let parameters = operation["parameters"].as_sequence_mut();
                for parameter in parameters.into_iter().flatten() {
                    let is_optional = parameter["required"] == false;
                    if let Some(parameter) = parameter.as_mapping_mut().filter(|_| is_optional) {
                        parameter.shift_remove("example");
                    }
                }
            }
        }
        Self(document).to_json()
    }

    /// As programs read it.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(&self.0).expect("a document has only text keys")
    }
}

/// YAML 1.1 knows moments as values of their own, and `no` as false; here they are text.
fn quote_text(line: &str) -> String {
    let is_other = |value: &str| value == "no" || value.starts_with("20") && value.ends_with('Z');
    match line.split_once(": ") {
        Some((key, value)) if is_other(value) => format!("{key}: '{value}'\n"),
        _ => format!("{line}\n"),
    }
}

fn overlay() -> Value {
    let mut overlay: Value = serde_yaml::from_str(OVERLAY).expect("the overlay is YAML");
    overlay.apply_merge().expect("merged are mappings alone");
    overlay
}

/// Lays one tree over another: mappings are merged, everything else is replaced.
fn lay_over(target: &mut Value, overlay: &Value) {
    let Value::Mapping(over) = overlay else {
        *target = overlay.clone();
        return;
    };
    if !target.is_mapping() {
        *target = Value::Mapping(Mapping::new());
    }
    let target = target.as_mapping_mut().expect("it was made one");
    for (key, value) in over {
        match target.get_mut(key) {
            Some(place) => lay_over(place, value),
            None => {
                target.insert(key.clone(), value.clone());
            }
        }
    }
}

/// The entries of a mapping; none of anything else.
fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let mapping = value.as_mapping().into_iter().flatten();
    mapping.filter_map(|(key, value)| Some((key.as_str()?, value)))
}

/// The same, to be changed.
fn entries_mut(value: &mut Value) -> impl Iterator<Item = (&str, &mut Value)> {
    let mapping = value.as_mapping_mut().into_iter().flatten();
    mapping.filter_map(|(key, value)| Some((key.as_str()?, value)))
}

/// A mapping of these entries.
fn mapping<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let entries = entries.into_iter();
    Value::Mapping(
        entries
            .map(|(key, value)| (Value::from(key), value))
            .collect(),
    )
}

/// A reference to a component.
fn reference(kind: &str, name: &str) -> Value {
    mapping([("$ref", format!("#/components/{kind}/{name}").into())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overlay_names_only_what_is_there() {
        let generated: Value = serde_yaml::from_str(&crate::app::generated_yaml()).unwrap();
        let overlay = overlay();
        let schemas = &generated["components"]["schemas"];
        for (name, schema) in entries(&overlay["schemas"]) {
            assert!(schemas.get(name).is_some(), "schema {name}");
            for (property, _) in entries(&schema["properties"]) {
                let known = &schemas[name]["properties"];
                assert!(known.get(property).is_some(), "{name}.{property}");
            }
        }
        for (_, frame) in entries(&overlay["frames"]) {
            let data = frame.get("data").and_then(Value::as_str);
            assert!(data.is_none_or(|data| schemas.get(data).is_some()));
        }
        let (mut operations, mut parameters) = (Vec::new(), Vec::new());
        for (_, path) in entries(&generated["paths"]) {
            for (_, operation) in entries(path) {
                operations.push(operation["operationId"].clone());
                let of_it = operation["parameters"].as_sequence().into_iter().flatten();
                parameters.extend(of_it.map(|parameter| parameter["name"].clone()));
            }
        }
        for (name, _) in entries(&overlay["operations"]) {
            assert!(operations.contains(&name.into()), "operation {name}");
        }
        for (name, _) in entries(&overlay["parameters"]) {
            assert!(parameters.contains(&name.into()), "parameter {name}");
        }
    }
}
