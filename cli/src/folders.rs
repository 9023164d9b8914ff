//! The folders of this program: one for settings and logins, one for outbox and recalled lines.
//!
//! Follows the XDG base directories: `XDG_CONFIG_HOME` and `XDG_STATE_HOME`, else `~/.config` and
//! `~/.local/state`. Creates nothing.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// There is no home directory and no variable that replaces it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no folder for {what}: set HOME or {variable}")]
pub struct NoFolder {
    what: &'static str,
    variable: &'static str,
}

/// The folder of settings and logins.
///
/// # Errors
/// There is no home directory.
pub fn config() -> Result<PathBuf, NoFolder> {
    folder(
        std::env::var_os("XDG_CONFIG_HOME"),
        std::env::home_dir(),
        ".config",
    )
    .ok_or(NoFolder {
        what: "settings and logins",
        variable: "XDG_CONFIG_HOME",
    })
}

/// The folder of state that outlives a run: outbox and recalled lines.
///
/// # Errors
/// There is no home directory.
pub fn state() -> Result<PathBuf, NoFolder> {
    folder(
        std::env::var_os("XDG_STATE_HOME"),
        std::env::home_dir(),
        ".local/state",
    )
    .ok_or(NoFolder {
        what: "unsent messages",
        variable: "XDG_STATE_HOME",
    })
}

/// A relative path in a variable is invalid by the XDG rules, and ignored.
fn folder(variable: Option<OsString>, home: Option<PathBuf>, below: &str) -> Option<PathBuf> {
    let named = variable
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let base = named.or_else(|| Some(home.filter(|home| home.is_absolute())?.join(below)))?;
    Some(base.join("causeway"))
}

/// Whether a file does not exist, perhaps because its parent is not a folder.
pub fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// A path for display, with `~` for the home directory.
pub fn short(path: &Path) -> String {
    let below_home = std::env::home_dir()
        .filter(|home| home.parent().is_some())
        .and_then(|home| path.strip_prefix(home).ok().map(Path::to_owned));
    match below_home {
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_over_the_home_unless_it_is_relative() {
        let home = || Some(PathBuf::from("/home/ann"));
        let of = |variable: Option<&str>| folder(variable.map(OsString::from), home(), ".config");

        assert_eq!(of(None), Some("/home/ann/.config/causeway".into()));
        assert_eq!(of(Some("/etc/x")), Some("/etc/x/causeway".into()));
        assert_eq!(of(Some("here")), Some("/home/ann/.config/causeway".into()));
        assert_eq!(of(Some("")), Some("/home/ann/.config/causeway".into()));
        assert_eq!(folder(None, None, ".config"), None);
    }
}
