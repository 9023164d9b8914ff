//! The settings as written: file and environment combined, with the right types, not yet validated.

use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use super::ConfigError;

const PREFIX: &str = "CAUSEWAY_";

/// How the text of a variable becomes a value.
#[derive(Clone, Copy)]
enum Form {
    Text,
    /// The path of a file: one in the configuration file is relative to its folder.
    Path,
    Number,
    Flag,
    List,
}

/// Every setting, in the order of the documentation; settings of a table have its name in front.
const KEYS: &[(&str, Form)] = &[
    ("cluster", Form::Text),
    ("replica", Form::Number),
    ("data_dir", Form::Text),
    ("database_url", Form::Text),
    ("allow_unsafe_postgres", Form::Flag),
    ("clock_offset_file", Form::Text),
    ("peer_protocol", Form::List),
    ("public_listen", Form::Text),
    ("metrics_listen", Form::Text),
    ("internal_listen", Form::Text),
    ("cluster_key", Form::Text),
    ("cluster_key_file", Form::Path),
    ("previous_cluster_key", Form::Text),
    ("previous_cluster_key_file", Form::Path),
    ("tls.certificate", Form::Path),
    ("tls.key", Form::Path),
    ("peer_tls.ca", Form::Path),
    ("peer_tls.certificate", Form::Path),
    ("peer_tls.key", Form::Path),
    ("behind_proxy", Form::Flag),
    ("trusted_proxies", Form::List),
    ("auth", Form::Text),
    ("replicas", Form::List),
    ("limits.max_text_chars", Form::Number),
    ("limits.max_connections", Form::Number),
    ("limits.max_connections_per_address", Form::Number),
    ("limits.max_waiting_writes", Form::Number),
    ("limits.max_calls_of_one", Form::Number),
    ("limits.max_lag_ms", Form::Number),
    ("limits.min_free_disk_bytes", Form::Number),
    ("limits.writes_per_second", Form::Number),
    ("limits.reads_per_second", Form::Number),
    ("limits.logins_per_minute", Form::Number),
    ("limits.new_groups_per_hour", Form::Number),
    ("limits.requests_per_second", Form::Number),
];

/// Pairs of which a variable for one overrides both.
const EXCLUSIVE: &[(&str, &str)] = &[
    ("cluster_key", "cluster_key_file"),
    ("previous_cluster_key", "previous_cluster_key_file"),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) cluster: Option<String>,
    pub(super) replica: Option<i64>,
    pub(super) data_dir: Option<String>,
    pub(super) database_url: Option<String>,
    #[serde(default)]
    pub(super) allow_unsafe_postgres: bool,
    pub(super) clock_offset_file: Option<String>,
    pub(super) peer_protocol: Option<Vec<i64>>,
    pub(super) public_listen: Option<String>,
    pub(super) metrics_listen: Option<String>,
    pub(super) internal_listen: Option<String>,
    pub(super) cluster_key: Option<String>,
    pub(super) cluster_key_file: Option<String>,
    pub(super) previous_cluster_key: Option<String>,
    pub(super) previous_cluster_key_file: Option<String>,
    pub(super) tls: Option<RawTls>,
    pub(super) peer_tls: Option<RawPeerTls>,
    #[serde(default)]
    pub(super) behind_proxy: bool,
    pub(super) trusted_proxies: Option<Vec<String>>,
    pub(super) auth: Option<String>,
    pub(super) replicas: Option<Vec<RawReplica>>,
    #[serde(default)]
    pub(super) limits: RawLimits,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReplica {
    pub(super) id: Option<i64>,
    pub(super) public_url: Option<String>,
    pub(super) internal_url: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPeerTls {
    pub(super) ca: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    pub(super) max_text_chars: Option<i64>,
    pub(super) max_connections: Option<i64>,
    pub(super) max_connections_per_address: Option<i64>,
    pub(super) max_waiting_writes: Option<i64>,
    pub(super) max_calls_of_one: Option<i64>,
    pub(super) max_lag_ms: Option<i64>,
    pub(super) min_free_disk_bytes: Option<i64>,
    pub(super) writes_per_second: Option<i64>,
    pub(super) reads_per_second: Option<i64>,
    pub(super) logins_per_minute: Option<i64>,
    pub(super) new_groups_per_hour: Option<i64>,
    pub(super) requests_per_second: Option<i64>,
}

/// Parses the file, which is in this folder, and overrides it with the environment.
pub(super) fn read(
    folder: &Path,
    toml: &str,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Raw, ConfigError> {
    let mut table: Table = toml.parse().map_err(|error| syntax(toml, &error))?;
    anchor_paths(&mut table, folder);
    for (name, text) in env.filter(|(_, text)| !text.is_empty()) {
        if let Some((key, form)) = KEYS.iter().find(|(key, _)| variable(key) == name) {
            let value = value_of(&text, *form);
            let value = value.ok_or_else(|| ConfigError::wrong(*key, unreadable(&name, *form)))?;
            set(&mut table, key, value)?;
        }
    }
    serde_path_to_error::deserialize(table).map_err(|error| {
        let path = error.path().to_string();
        mismatch(&path, error.into_inner().message())
    })
}

/// Makes the relative paths in the file relative to the folder of the file.
fn anchor_paths(table: &mut Table, folder: &Path) {
    for (key, _) in KEYS.iter().filter(|(_, form)| matches!(form, Form::Path)) {
        let value = match key.split_once('.') {
            None => table.get_mut(*key),
            Some((outer, inner)) => table.get_mut(outer).and_then(|outer| outer.get_mut(inner)),
        };
        // An empty path is refused later, by its name.
        if let Some(Value::String(path)) = value
            && !path.is_empty()
        {
            *path = folder.join(&*path).to_string_lossy().into_owned();
        }
    }
}

/// Returns the variable for a key.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

fn value_of(text: &str, form: Form) -> Option<Value> {
    match form {
        Form::Text | Form::Path => Some(Value::String(text.to_owned())),
        Form::Number => text.trim().parse().ok().map(Value::Integer),
        Form::Flag => text.trim().parse().ok().map(Value::Boolean),
        Form::List => serde_json::from_str(text).ok().or_else(|| {
            let mut table: Table = format!("list = {text}").parse().ok()?;
            table.remove("list")
        }),
    }
}

fn unreadable(name: &str, form: Form) -> String {
    let expected = match form {
        Form::Text | Form::Path => "a text",
        Form::Number => "a whole number",
        Form::Flag => "true or false",
        Form::List => {
            r#"a JSON or TOML array such as [{"id":1,"public_url":"…","internal_url":"…"}]"#
        }
    };
    format!("the variable {name} has to be {expected}")
}

fn set(table: &mut Table, key: &str, value: Value) -> Result<(), ConfigError> {
    for (one, other) in EXCLUSIVE.iter().flat_map(|&(a, b)| [(a, b), (b, a)]) {
        if key == one {
            table.remove(other);
        }
    }
    match key.split_once('.') {
        None => table.insert(key.to_owned(), value),
        Some((outer, inner)) => table
            .entry(outer)
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
            .ok_or_else(|| ConfigError::wrong(outer, "it has to be a table"))?
            .insert(inner.to_owned(), value),
    };
    Ok(())
}

fn syntax(text: &str, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text.get(..start).unwrap_or(text).matches('\n').count() + 1;
    ConfigError::Syntax {
        line,
        said: one_line(error.message()),
    }
}

fn mismatch(path: &str, said: &str) -> ConfigError {
    let said = one_line(said);
    match said.strip_prefix("unknown field ") {
        Some(rest) => {
            let (field, hint) = rest.split_once(", ").unwrap_or((rest, ""));
            let field = field.trim_matches('`');
            // The path ends with the unknown field itself, or before it.
            let inside = path
                .strip_suffix(field)
                .unwrap_or(path)
                .trim_end_matches('.');
            let key = if inside.is_empty() {
                field.to_owned()
            } else {
                format!("{inside}.{field}")
            };
            ConfigError::unknown(&key, hint)
        }
        None => ConfigError::wrong(path, said),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
