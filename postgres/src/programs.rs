//! Finds the Postgres programs on this machine.
//!
//! Only `initdb` and `postgres` are needed: no `psql`, no `pg_ctl`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::environment;

/// Root folders with one folder per installed version: root, prefix of its name, folder of programs.
const INSTALLATIONS: &[(&str, &str, &str)] = &[
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// `initdb` and `postgres` of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// Creates a cluster.
    pub initdb: PathBuf,
    /// The server.
    pub postgres: PathBuf,
}

/// No Postgres programs were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no Postgres programs (`initdb`, `postgres`) found on this machine: install them with `{}`, or name their folder in CAUSEWAY_PG_BIN",
    install_line()
)]
pub struct Missing;

impl Programs {
    /// Finds the programs: in `CAUSEWAY_PG_BIN` (then nowhere else), in `../lib/postgres/bin` beside
    /// the running executable, in `PATH`, and in the usual folders of Debian, Red Hat, Homebrew and
    /// Postgres.app, the newest version first.
    pub fn find() -> Result<Self, Missing> {
        Self::installed().into_iter().next().ok_or(Missing)
    }

    /// Finds the programs that can open a cluster of this major version.
    pub(crate) fn find_version(major: &str) -> Option<Self> {
        Self::installed()
            .into_iter()
            .find(|programs| programs.major().as_deref() == Some(major))
    }

    /// Asks the server program for its major version, such as `15`.
    pub(crate) fn major(&self) -> Option<String> {
        let mut command = Command::new(&self.postgres);
        command.arg("--version").current_dir("/");
        let output = environment::clean(&mut command).output().ok()?;
        let output = String::from_utf8(output.stdout).ok()?;
        let version = output
            .split_whitespace()
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        Some(version.chars().take_while(char::is_ascii_digit).collect())
    }

    fn installed() -> Vec<Self> {
        if let Some(chosen) =
            std::env::var_os("CAUSEWAY_PG_BIN").filter(|chosen| !chosen.is_empty())
        {
            return Self::within(Path::new(&chosen)).into_iter().collect();
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let beside = std::env::current_exe().ok();
        beside
            .and_then(|executable| shipped_with(&executable))
            .into_iter()
            .chain(std::env::split_paths(&path).filter(|folder| folder.is_absolute()))
            .chain(
                INSTALLATIONS
                    .iter()
                    .flat_map(|(root, prefix, bin)| versions(root, prefix, bin)),
            )
            .filter_map(|folder| Self::within(&folder))
            .collect()
    }

    /// Returns the programs of one folder; a single link to `initdb` leads to the folder of both.
    fn within(folder: &Path) -> Option<Self> {
        let initdb = folder
            .join("initdb")
            .canonicalize()
            .ok()
            .filter(|path| path.is_file())?;
        [folder, initdb.parent()?].into_iter().find_map(|folder| {
            let programs = Self {
                initdb: folder.join("initdb"),
                postgres: folder.join("postgres"),
            };
            (programs.initdb.is_file() && programs.postgres.is_file()).then_some(programs)
        })
    }
}

/// Returns where an archive that brings its own Postgres keeps it: `bin/causeway-server` finds
/// `lib/postgres/bin`. The executable may be reached through a link.
fn shipped_with(executable: &Path) -> Option<PathBuf> {
    let executable = executable.canonicalize().ok()?;
    let root = executable.parent()?.parent()?;
    Some(root.join("lib/postgres/bin"))
}

/// Lists `root/<prefix><version>/bin`, the highest version first.
fn versions(root: &str, prefix: &str, bin: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = version_of(&name, prefix)?;
            Some((version, entry.path().join(bin)))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, folder)| folder).collect()
}

/// Parses `15` from `15`, `pgsql-15` or `postgresql@15`; a name without a number counts as oldest.
fn version_of(name: &OsStr, prefix: &str) -> Option<u32> {
    let rest = name.to_str()?.strip_prefix(prefix)?;
    let digits: String = rest
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    Some(digits.parse().unwrap_or(0))
}

fn install_line() -> &'static str {
    let has = |file: &str| Path::new(file).exists();
    if cfg!(target_os = "macos") {
        "brew install postgresql@17"
    } else if has("/etc/alpine-release") {
        "apk add postgresql"
    } else if has("/etc/arch-release") {
        "pacman -S postgresql"
    } else if has("/etc/redhat-release") {
        "dnf install postgresql-server"
    } else {
        "apt install postgresql"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers_and_newest_comes_first() {
        let root = tempfile::tempdir().unwrap();
        for name in [
            "postgresql@9",
            "postgresql@17",
            "postgresql@15",
            "postgresql",
            "redis",
        ] {
            fs::create_dir(root.path().join(name)).unwrap();
        }

        let found = versions(root.path().to_str().unwrap(), "postgresql", "bin");

        let expected = [
            "postgresql@17",
            "postgresql@15",
            "postgresql@9",
            "postgresql",
        ];
        assert_eq!(
            found,
            expected.map(|name| root.path().join(name).join("bin"))
        );
    }

    #[test]
    fn programs_shipped_with_an_executable_are_found_through_a_link_to_it() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let bin = root.join("causeway-1.0/lib/postgres/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir(root.join("causeway-1.0/bin")).unwrap();
        let server = root.join("causeway-1.0/bin/causeway-server");
        for file in [&server, &bin.join("initdb"), &bin.join("postgres")] {
            fs::write(file, "").unwrap();
        }
        std::os::unix::fs::symlink(&server, root.join("causeway-server")).unwrap();

        let found = shipped_with(&root.join("causeway-server")).unwrap();

        assert_eq!(found, bin);
        assert_eq!(Programs::within(&found).unwrap().initdb, bin.join("initdb"));
    }

    #[test]
    fn the_programs_of_this_machine_report_their_version() {
        let programs = Programs::find().unwrap();

        let major = programs.major().unwrap();

        assert_eq!(Programs::find_version(&major).unwrap().major(), Some(major));
    }

    #[test]
    fn the_error_says_how_to_install() {
        assert!(Missing.to_string().contains("install"));
    }
}
