//! The stored logins, by server and user, in a file that only its owner can read.
//!
//! The file is replaced atomically, under a lock, so that a reader never sees half of it.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{folders, names};

/// A login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The address of the server that gave it.
    pub server: String,
    /// The addresses of all servers that accept the token.
    #[serde(default)]
    pub servers: Vec<String>,
    /// The name of the cluster.
    pub cluster: String,
    /// The user's name.
    pub user: String,
    /// The token.
    pub token: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// The newest last.
    logins: Vec<Login>,
}

/// The file of logins.
#[derive(Debug, Clone)]
pub struct Logins(PathBuf);

impl Logins {
    /// The file of the user who runs this program.
    ///
    /// # Errors
    /// There is no folder for it.
    pub fn own() -> Result<Self, folders::NoFolder> {
        Ok(Self(folders::config()?.join("logins.json")))
    }

    /// The file's path, for display.
    pub fn place(&self) -> String {
        folders::short(&self.0)
    }

    /// The newest login of this user at this server, or of any if none is given.
    ///
    /// # Errors
    /// A sentence: the file cannot be read.
    pub fn find(&self, server: Option<&str>, user: Option<&str>) -> Result<Option<Login>, String> {
        let kept = self.read()?;
        Ok(kept
            .logins
            .into_iter()
            .rev()
            .find(|login| login.is_of(server, user)))
    }

    /// Stores a login in place of an older one of the same user at the same server.
    ///
    /// # Errors
    /// A sentence: the file cannot be written.
    pub fn keep(&self, login: &Login) -> Result<(), String> {
        self.change(|logins| {
            logins.retain(|known| !known.is_of(Some(&login.server), Some(&login.user)));
            logins.push(login.clone());
        })
    }

    /// Removes a login.
    ///
    /// # Errors
    /// A sentence: the file cannot be written.
    pub fn forget(&self, login: &Login) -> Result<(), String> {
        self.change(|logins| logins.retain(|known| known != login))
    }

    fn read(&self) -> Result<Kept, String> {
        match std::fs::read(&self.0) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                format!(
                    "the logins {} cannot be read ({error}); remove the file and log in again",
                    self.place()
                )
            }),
            Err(error) if folders::is_absent(&error) => Ok(Kept::default()),
            Err(error) => Err(format!(
                "the logins {} cannot be read: {error}",
                self.place()
            )),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Login>)) -> Result<(), String> {
        let fault = |error: io::Error| {
            format!(
                "the login cannot be kept in {}: {error}; make it writable, or set XDG_CONFIG_HOME",
                self.place()
            )
        };
        let folder = self.0.parent().unwrap_or(Path::new("/"));
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(fault)?;
        let lock = private(&self.0.with_extension("lock")).map_err(fault)?;
        lock.lock().map_err(fault)?;
        let mut kept = self.read()?;
        change(&mut kept.logins);
        let text = serde_json::to_vec_pretty(&kept).expect("logins have nothing that JSON lacks");
        self.replace(&text).map_err(fault)
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let beside = self.0.with_extension("new");
        let mut file = private(&beside)?;
        file.set_len(0)?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.0)
    }
}

impl Login {
    fn is_of(&self, server: Option<&str>, user: Option<&str>) -> bool {
        let is_there = server.is_none_or(|server| {
            self.server == server || self.servers.iter().any(|known| known == server)
        });
        is_there && user.is_none_or(|user| names::are_same(user, &self.user))
    }
}

fn private(path: &Path) -> io::Result<std::fs::File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn login(server: &str, user: &str, token: &str) -> Login {
        Login {
            server: server.into(),
            servers: vec!["http://b:2".into()],
            cluster: "c".into(),
            user: user.into(),
            token: token.into(),
        }
    }

    #[test]
    fn a_login_is_kept_per_server_and_user_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let logins = Logins(folder.path().join("causeway/logins.json"));
        logins.keep(&login("http://a:1", "ann", "old")).unwrap();
        logins.keep(&login("http://a:1", "ann", "t1")).unwrap();
        logins.keep(&login("http://a:1", "bob", "t2")).unwrap();
        logins.keep(&login("http://z:1", "ann", "t3")).unwrap();

        let token = |server: Option<&str>, user: Option<&str>| {
            Some(logins.find(server, user).unwrap()?.token)
        };
        assert_eq!(
            token(Some("http://a:1"), Some("ANN")).as_deref(),
            Some("t1")
        );
        assert_eq!(token(Some("http://a:1"), None).as_deref(), Some("t2"));
        assert_eq!(token(None, None).as_deref(), Some("t3"));
        assert_eq!(
            token(Some("http://b:2"), Some("bob")).as_deref(),
            Some("t2")
        );
        assert_eq!(token(Some("http://q:2"), None), None);
        let mode = std::fs::metadata(&logins.0).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let bob = logins.find(None, Some("bob")).unwrap().unwrap();
        logins.forget(&bob).unwrap();
        assert_eq!(token(None, Some("bob")), None);
    }

    #[test]
    fn a_file_that_is_none_of_ours_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let logins = Logins(folder.path().join("logins.json"));
        std::fs::write(&logins.0, "nonsense").unwrap();

        let sentence = logins.find(None, None).unwrap_err();

        assert!(
            sentence.contains("remove the file and log in again"),
            "{sentence}"
        );
        assert!(logins.keep(&login("http://a:1", "ann", "t")).is_err());
    }
}
