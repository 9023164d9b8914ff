//! The folder of the server's socket: private, and with a path that fits into a socket address.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::folder::Folder;

/// The limit of macOS; that of Linux, 107, is hardly larger.
const PATH_LIMIT_BYTES: usize = 103;
const NAME: &str = ".s.PGSQL.5432";

/// The folder of the socket.
#[derive(Debug, Clone)]
pub(crate) struct Socket {
    pub(crate) folder: PathBuf,
    /// Whether it is outside the data folder, so that it has to be removed at the end.
    pub(crate) is_outside: bool,
    account: Account,
}

impl Socket {
    /// Chooses the data folder itself where the server can bind there, else a folder in the system's
    /// temporary one with a name made from the data folder's path.
    pub(crate) fn of(folder: &Folder) -> Self {
        Self::at(&folder.path, folder.account)
    }

    /// As `of`, for a folder that another process has.
    pub(crate) fn at(path: &Path, account: Account) -> Self {
        let inside = path.join("socket");
        if fits(&inside) && account.reaches(&inside) {
            return Self {
                folder: inside,
                is_outside: false,
                account,
            };
        }
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        let name = format!("causeway-{:016x}", hasher.finish());
        let outside = std::env::temp_dir().join(&name);
        let outside = if fits(&outside) && account.reaches(&outside) {
            outside
        } else {
            Path::new("/tmp").join(name)
        };
        Self {
            folder: outside,
            is_outside: true,
            account,
        }
    }

    /// Makes the folder and removes what a killed server left in it.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        match fs::create_dir(&self.folder) {
            Ok(()) => self.account.take_over(&self.folder)?,
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

    /// Removes the folder if it is empty and outside the data folder.
    pub(crate) fn remove(&self) {
        if self.is_outside {
            // Best effort: the folder is private, and the next start uses it again.
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
        self.account.take_over(&self.folder)
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
