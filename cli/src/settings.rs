//! The settings: from the command line, else the environment, else the settings file, else the
//! stored login, else the default.
//!
//! The file's values become defaults of the command line's parser, so that the same rules check
//! them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

use crate::arguments::{Arguments, Options, trimmed};
use crate::folders;

/// The settings, named like the flags.
const NAMES: [&str; 9] = [
    "server",
    "user",
    "group",
    "no-failover",
    "ca",
    "outbox",
    "color",
    "json",
    "timeout",
];

/// The settings file.
#[derive(Debug, Default)]
struct File {
    path: Option<PathBuf>,
    /// By the name of the flag.
    values: Vec<(String, String)>,
}

/// The complete settings.
#[derive(Debug)]
pub struct Settings {
    /// The command line, with everything else filled in.
    pub arguments: Arguments,
    /// Each setting with its value and its source.
    pub applied: Vec<Applied>,
}

/// A setting, its value and its source.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Applied {
    /// Its name.
    pub setting: &'static str,
    /// `None` if nothing is set.
    pub value: Option<String>,
    /// `command line`, a variable, a file, or `default`.
    pub source: String,
}

/// Reads the command line and the settings file.
///
/// # Errors
/// What is wrong with either, as clap reports it.
pub fn read(command_line: Vec<OsString>) -> Result<Settings, clap::Error> {
    let file = File::read(&command_line)?;
    let mut command = Arguments::command();
    for (name, value) in &file.values {
        let id = name.replace('-', "_");
        command = command.mut_arg(id, |argument| argument.default_value(value.clone()));
    }
    let matches = command.try_get_matches_from(command_line)?;
    let arguments = Arguments::from_arg_matches(&matches)?;
    let applied = NAMES
        .map(|name| applied(name, &matches, &arguments.options, &file))
        .to_vec();
    Ok(Settings { arguments, applied })
}

/// Wrong use that the parser cannot detect.
pub fn misuse(sentence: &str) -> clap::Error {
    Arguments::command().error(ErrorKind::MissingRequiredArgument, sentence)
}

fn applied(name: &'static str, matches: &ArgMatches, options: &Options, file: &File) -> Applied {
    let mut deepest = matches;
    while let Some((_, below)) = deepest.subcommand() {
        deepest = below;
    }
    let id = name.replace('-', "_");
    let in_file = file.values.iter().any(|(known, _)| known == name);
    let source = match deepest.value_source(&id) {
        Some(ValueSource::CommandLine) => "command line".to_owned(),
        Some(ValueSource::EnvVariable) => format!("CAUSEWAY_{}", id.to_uppercase()),
        _ if in_file => file
            .path
            .as_deref()
            .map_or_else(String::new, folders::short),
        _ => "default".to_owned(),
    };
    Applied {
        setting: name,
        value: value_of(name, options),
        source,
    }
}

fn value_of(name: &str, options: &Options) -> Option<String> {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    match name {
        "server" => options.server.as_ref().map(ToString::to_string),
        "user" => options.user.clone(),
        "group" => options.group.clone(),
        "no-failover" => Some(options.no_failover.to_string()),
        "ca" => path(&options.ca),
        "outbox" => path(&options.outbox),
        "color" => Some(format!("{:?}", options.color).to_lowercase()),
        "json" => Some(options.json.to_string()),
        _ => Some(options.timeout.to_string()),
    }
}

impl File {
    fn read(command_line: &[OsString]) -> Result<Self, clap::Error> {
        let named = named_in(command_line).or_else(|| std::env::var_os("CAUSEWAY_CONFIG"));
        let named = named.map(|path| trimmed(&path).to_owned());
        let is_named = named.is_some();
        let path = match named {
            Some(path) => PathBuf::from(path),
            None => match folders::config() {
                Ok(folder) => folder.join("config.toml"),
                Err(_) => return Ok(Self::default()),
            },
        };
        let fault = |what: String| {
            let shown = folders::short(&path);
            Arguments::command().error(ErrorKind::Io, format!("the settings {shown} {what}"))
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if folders::is_absent(&error) && !is_named => {
                return Ok(Self {
                    path: Some(path),
                    values: Vec::new(),
                });
            }
            Err(error) => return Err(fault(format!("cannot be read: {error}"))),
        };
        let values = values_of(&text).map_err(fault)?;
        Ok(Self {
            path: Some(path),
            values,
        })
    }
}

/// The value of `--config`, read before the command line is parsed.
fn named_in(command_line: &[OsString]) -> Option<OsString> {
    let mut rest = command_line.iter().skip(1);
    while let Some(word) = rest.next() {
        let text = word.to_string_lossy();
        if text == "--" {
            return None;
        }
        if text == "--config" {
            return rest.next().cloned();
        }
        if let Some(value) = text.strip_prefix("--config=") {
            return Some(value.into());
        }
    }
    None
}

/// Pure: the values in a settings file, by the name of the flag.
fn values_of(text: &str) -> Result<Vec<(String, String)>, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let said = error.message();
        let line = error
            .span()
            .map_or(1, |span| text[..span.start].lines().count().max(1));
        format!("cannot be read: line {line}: {said}")
    })?;
    let mut values = Vec::new();
    for (name, value) in table {
        let name = name.replace('_', "-");
        if !NAMES.contains(&name.as_str()) {
            let known = NAMES.join(", ");
            return Err(format!(
                "have the unknown setting `{name}`; the known ones are {known}"
            ));
        }
        let value = match value {
            toml::Value::String(value) => value,
            toml::Value::Boolean(value) => value.to_string(),
            toml::Value::Integer(value) => value.to_string(),
            _ => {
                return Err(format!(
                    "have a `{name}` that is not text, a number, true or false"
                ));
            }
        };
        values.push((name, value));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settings_file_uses_the_names_of_flags() {
        let text = "server = \"chat.example\"\nno-failover = true\nno_failover = true\n";
        assert!(values_of(text).is_ok());

        let values = values_of("group = \"lobby\"\ntimeout = 5\njson = false").unwrap();

        let value = |name: &str| {
            let found = values.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(
            (value("group"), value("timeout"), value("json")),
            (Some("lobby"), Some("5"), Some("false"))
        );
    }

    #[test]
    fn a_wrong_setting_is_reported_with_its_place() {
        for (text, said) in [
            ("sever = \"x\"", "unknown setting `sever`"),
            ("server = [1]", "have a `server` that is not text"),
            ("user = \"ann\"\nserver = ", "line 2"),
        ] {
            let sentence = values_of(text).unwrap_err();
            assert!(sentence.contains(said), "{sentence}");
        }
    }

    #[test]
    fn the_file_is_named_before_anything_else_is_read() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();

        assert_eq!(named_in(&words("causeway --config a")), Some("a".into()));
        assert_eq!(
            named_in(&words("causeway send --config=b")),
            Some("b".into())
        );
        assert_eq!(named_in(&words("causeway send -- --config c")), None);
    }
}
