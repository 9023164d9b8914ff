//! Errors of a configuration: one sentence that names the key and says what to do.

use std::io;
use std::path::PathBuf;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration is not TOML: line {line}: {said}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What the parser reported.
        said: String,
    },
    /// There is no such setting.
    #[error("there is no setting `{key}`: {hint}")]
    Unknown {
        /// The key as written.
        key: String,
        /// What there is instead.
        hint: String,
    },
    /// A setting without default is not set.
    #[error("the setting `{key}` is missing: {hint}")]
    Missing {
        /// The key.
        key: String,
        /// What could be written.
        hint: String,
    },
    /// A setting has an invalid value.
    #[error("the setting `{key}` is wrong: {why}")]
    Wrong {
        /// The key.
        key: String,
        /// What is wrong, and what would be valid.
        why: String,
    },
}

impl ConfigError {
    pub(super) fn missing(key: &str, hint: &str) -> Self {
        Self::Missing {
            key: key.to_owned(),
            hint: hint.to_owned(),
        }
    }

    pub(crate) fn wrong(key: impl AsRef<str>, why: impl AsRef<str>) -> Self {
        Self::Wrong {
            key: in_one_line(key.as_ref()),
            why: in_one_line(why.as_ref()),
        }
    }

    pub(super) fn unknown(key: &str, hint: &str) -> Self {
        Self::Unknown {
            key: in_one_line(key),
            hint: hint.to_owned(),
        }
    }
}

/// Escapes control characters, which a TOML string may hold and a line for a terminal must not.
fn in_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}
