//! The account that runs Postgres: our own, or, because Postgres refuses root, an unprivileged one.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::{StartError, environment, folder};

/// The accounts tried under root, in this order.
const UNPRIVILEGED: &[&str] = &["postgres", "_postgres", "nobody"];

/// The account that Postgres runs as and that owns its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// The owner of this process.
    Ours,
    /// Another one, because we are root.
    Other { uid: u32, gid: u32 },
}

impl Account {
    /// Chooses the account for a new folder; `None` when we are root and there is no unprivileged
    /// one.
    pub(crate) fn choose() -> Option<Self> {
        Self::candidates().into_iter().next()
    }

    /// Chooses the account for a folder that may have been used before. It stays with the account
    /// that has it.
    pub(crate) fn of(path: &Path) -> Result<Self, StartError> {
        let candidates = Self::candidates();
        let first = *candidates.first().ok_or(StartError::NoAccount)?;
        let Ok(found) = fs::metadata(path) else {
            return Ok(first);
        };
        let owner = found.uid();
        let own = rustix::process::geteuid().as_raw();
        let of_owner = candidates.into_iter().find(|it| it.uid() == owner);
        match of_owner {
            Some(account) => Ok(account),
            // A start that was interrupted has not handed it over yet; a new one is empty.
            None if owner == own || !folder::is_marked(path) => Ok(first),
            None => Err(StartError::Owner {
                path: path.to_owned(),
                owner: account_name(owner),
            }),
        }
    }

    fn candidates() -> Vec<Self> {
        if !rustix::process::geteuid().is_root() {
            return vec![Self::Ours];
        }
        let accounts = accounts();
        let names = UNPRIVILEGED.iter();
        names
            .filter_map(|name| Self::named(name, &accounts))
            .collect()
    }

    fn uid(self) -> u32 {
        match self {
            Self::Ours => rustix::process::geteuid().as_raw(),
            Self::Other { uid, .. } => uid,
        }
    }

    fn named(name: &str, accounts: &str) -> Option<Self> {
        let fields = accounts
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        let fields = fields
            .into_iter()
            .find(|fields| fields.len() > 3 && fields[0] == name)?;
        Some(Self::Other {
            uid: number(fields[2])?,
            gid: number(fields[3])?,
        })
    }

    /// Makes the command run as this account.
    pub(crate) fn run_as(self, command: &mut Command) {
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
    }

    /// Makes this account the only one with access to a folder or file.
    pub(crate) fn take_over(self, path: &Path) -> io::Result<()> {
        if let Self::Other { uid, gid } = self {
            chown(path, Some(uid), Some(gid))?;
        }
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }

    pub(crate) fn owns(self, path: &Path) -> io::Result<bool> {
        let owner = fs::symlink_metadata(path)?.uid();
        Ok(owner == self.uid())
    }

    /// Whether this account may traverse all parents of `path`.
    pub(crate) fn reaches(self, path: &Path) -> bool {
        let Self::Other { uid, gid } = self else {
            return true;
        };
        path.ancestors().skip(1).all(|parent| {
            fs::metadata(parent).is_ok_and(|found| {
                let bit = match (found.uid() == uid, found.gid() == gid) {
                    (true, _) => 0o100,
                    (_, true) => 0o010,
                    _ => 0o001,
                };
                found.mode() & bit != 0
            })
        })
    }
}

fn accounts() -> String {
    fs::read_to_string("/etc/passwd").unwrap_or_default()
}

/// Returns the name of an account, or else its number.
pub fn account_name(uid: u32) -> String {
    name_in(&accounts(), uid).unwrap_or_else(|| uid.to_string())
}

/// Returns the name of the account of this process, as Postgres will find it.
pub(crate) fn own_name() -> io::Result<String> {
    if let Some(name) = name_in(&accounts(), rustix::process::geteuid().as_raw()) {
        return Ok(name);
    }
    // From a directory service.
    let mut command = Command::new("id");
    let output = environment::clean(command.arg("-un")).output()?;
    let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && !name.is_empty() {
        return Ok(name);
    }
    Err(io::Error::other(
        "this account has no name: add it to /etc/passwd",
    ))
}

fn name_in(accounts: &str, uid: u32) -> Option<String> {
    let lines = accounts.lines().map(|line| line.split(':'));
    let found = lines.into_iter().find_map(|mut fields| {
        let name = fields.next()?;
        (number(fields.nth(1)?)? == uid).then_some(name)
    });
    found.map(str::to_owned)
}

/// Parses an id; macOS writes `nobody` as -2.
fn number(text: &str) -> Option<u32> {
    let id: i64 = text.parse().ok()?;
    u32::try_from(id)
        .or_else(|_| i32::try_from(id).map(i32::cast_unsigned))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_name_and_may_have_a_negative_number() {
        let accounts =
            "root:x:0:0::/root:/bin/sh\nnobody:*:-2:-2::/:/bin/false\npostgres:x:101:104:::\n";

        assert_eq!(
            Account::named("postgres", accounts),
            Some(Account::Other { uid: 101, gid: 104 })
        );
        assert_eq!(
            Account::named("nobody", accounts),
            Some(Account::Other {
                uid: u32::MAX - 1,
                gid: u32::MAX - 1
            })
        );
        assert_eq!(Account::named("post", accounts), None);
        assert_eq!(name_in(accounts, 101).as_deref(), Some("postgres"));
        assert_eq!(name_in(accounts, u32::MAX - 1).as_deref(), Some("nobody"));
        assert_eq!(name_in(accounts, 7), None);
    }

    #[test]
    fn a_closed_parent_is_out_of_reach_of_others() {
        let closed = tempfile::tempdir().unwrap();
        fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let inside = closed.path().join("inside");
        fs::create_dir(&inside).unwrap();

        assert!(Account::Ours.reaches(&inside));
        assert!(
            !Account::Other {
                uid: 4_000_000,
                gid: 4_000_000
            }
            .reaches(&inside)
        );
    }
}
