//! The account that runs Postgres: our own, or, because Postgres refuses root, an unprivileged one.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

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
    /// Chooses the account; `None` when we are root and there is no unprivileged one.
    pub(crate) fn choose() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return Some(Self::Ours);
        }
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        UNPRIVILEGED
            .iter()
            .find_map(|name| Self::named(name, &accounts))
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
        Ok(match self {
            Self::Ours => owner == rustix::process::geteuid().as_raw(),
            Self::Other { uid, .. } => owner == uid,
        })
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
