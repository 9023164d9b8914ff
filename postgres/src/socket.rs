//! Where the server listens: a private folder whose path fits into a socket address.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::folder::Folder;

/// What macOS allows, one less than Linux's 107 needs no distinction.
const PATH_LIMIT_BYTES: usize = 103;
const NAME: &str = ".s.PGSQL.5432";

/// The folder of the socket.
#[derive(Debug, Clone)]
pub(crate) struct Socket {
    pub(crate) folder: PathBuf,
    /// Whether it lies outside the data folder, so that it has to be removed at the end.
    pub(crate) is_apart: bool,
    account: Account,
}

impl Socket {
    /// Chooses the data folder itself where the server can bind there, else a folder in the system's
    /// temporary one with a name made from the data folder's path.
    pub(crate) fn of(folder: &Folder) -> Self {
        let account = folder.account;
        let inside = folder.path.join("socket");
        if fits(&inside) && account.reaches(&inside) {
            return Self {
                folder: inside,
                is_apart: false,
                account,
            };
        }
        let mut hasher = DefaultHasher::new();
        folder.path.hash(&mut hasher);
        let name = format!("causeway-{:016x}", hasher.finish());
        let apart = std::env::temp_dir().join(&name);
        let apart = if fits(&apart) && account.reaches(&apart) {
            apart
        } else {
            Path::new("/tmp").join(name)
        };
        Self {
            folder: apart,
            is_apart: true,
            account,
        }
    }

    /// Makes the folder and removes what a killed server left in it.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        match fs::create_dir(&self.folder) {
            Ok(()) => self.account.takes(&self.folder)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.is_private()?,
            Err(error) => return Err(error),
        }
        for name in [NAME.to_owned(), format!("{NAME}.lock")] {
            match fs::remove_file(self.folder.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn exists(&self) -> bool {
        self.folder.join(NAME).exists()
    }

    /// Removes the folder where it lies apart; what is still in it stays.
    pub(crate) fn remove(&self) {
        if self.is_apart {
            // Best effort: it is empty, private, and used again by the next start.
            let _ = fs::remove_dir(&self.folder);
        }
    }

    /// Accepts only a folder that nobody else can have prepared for us.
    fn is_private(&self) -> io::Result<()> {
        let is_folder = fs::symlink_metadata(&self.folder)?.is_dir();
        if !is_folder || !self.account.owns(&self.folder)? {
            let text = format!(
                "`{}` belongs to someone else: remove it",
                self.folder.display()
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        self.account.takes(&self.folder)
    }
}

fn fits(folder: &Path) -> bool {
    // The lock file beside the socket has no limit; a comma or space would split Postgres' list.
    let length = folder.as_os_str().len() + 1 + NAME.len();
    let is_plain = folder
        .to_str()
        .is_some_and(|path| !path.contains([',', '"', ' ']));
    length <= PATH_LIMIT_BYTES && is_plain
}
