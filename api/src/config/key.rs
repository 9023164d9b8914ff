//! Where the cluster's key is read from, and who else can read it there.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use toml::Table;

use super::{ConfigError, Secret};

/// What in a file of settings is a secret.
const SECRETS: &[&str] = &["cluster_key", "previous_cluster_key"];

/// Returns the key itself or the first line of its file.
pub(super) fn key(
    name: &str,
    key: Option<String>,
    file: Option<String>,
) -> Result<Option<Secret>, ConfigError> {
    let file_name = format!("{name}_file");
    let (key, name) = match (key, file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(ConfigError::wrong(
                name,
                format!("say either `{name}` or `{file_name}`"),
            ));
        }
        (Some(key), None) => (key, name.to_owned()),
        (None, Some(file)) => {
            let line = private_line(Path::new(&file));
            let line = line.map_err(|why| ConfigError::wrong(&file_name, why))?;
            (line, file_name)
        }
    };
    let secret = Secret::new(&key);
    secret
        .map(Some)
        .map_err(|weak| ConfigError::wrong(name, weak.to_string()))
}

/// Returns the first line of a file that nobody but its owner and group can read.
fn private_line(file: &Path) -> Result<String, String> {
    let shown = file.display();
    let unreadable = |error| format!("cannot read `{shown}`: {error}");
    if is_open_to_others(file).map_err(unreadable)? {
        return Err(format!(
            "every account of this machine can read or write `{shown}`; run `chmod o= {shown}`, and \
             change the key if somebody may have read it"
        ));
    }
    let text = fs::read_to_string(file).map_err(unreadable)?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// Says that others can read a secret in a file of settings, where they can.
pub(super) fn warning(path: &Path, text: &str) -> Option<String> {
    let settings: Table = text.parse().ok()?;
    let has_password = |url: &str| {
        let authority = url
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('@'));
        authority.is_some_and(|(user, _)| user.contains(':'))
    };
    let url = settings.get("database_url").and_then(|url| url.as_str());
    let found = SECRETS
        .iter()
        .copied()
        .find(|secret| settings.contains_key(*secret))
        .or_else(|| url.is_some_and(has_password).then_some("database_url"))?;
    let shown = path.display();
    is_open_to_others(path).is_ok_and(|it| it).then(|| {
        format!(
            "every account of this machine can read `{found}` in `{shown}`; run `chmod o= {shown}`, \
             and change the secret if somebody may have read it"
        )
    })
}

fn is_open_to_others(file: &Path) -> io::Result<bool> {
    let found = fs::metadata(file)?;
    Ok(found.is_file() && found.permissions().mode() & 0o006 != 0)
}
