//! Ownership of the data folder: a typing error in a setting must not scatter a database among
//! somebody's documents, nor let `--fresh` delete them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use causeway_postgres::account_name;

const MARKER: &str = "causeway-data";
const MARKER_TEXT: &str = "This folder belongs to a replica of Causeway.\n";

/// Why a folder cannot hold a replica's data.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// It holds files that are not ours.
    #[error("the data folder `{}` holds something that is not Causeway's: name another `data_dir`", .0.display())]
    Foreign(PathBuf),
    /// It is of another account.
    #[error(
        "the data folder `{}` belongs to the account `{owner}`, and stays with it: run this command as `{owner}` (as root: `runuser -u {owner} -- …`)", path.display()
    )]
    Owner {
        /// The folder.
        path: PathBuf,
        /// The name of the account, or its number.
        owner: String,
    },
    /// It cannot be created or written.
    #[error("cannot use the data folder `{}`: {source}", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
}

/// Creates the folder, or claims one that is ours or empty. Settings, keys and hidden files may be in
/// it before.
pub fn claim(path: &Path) -> Result<(), DataFolderError> {
    let unusable = |source| DataFolderError::Unusable {
        path: path.to_owned(),
        source,
    };
    check(path)?;
    fs::create_dir_all(path).map_err(unusable)?;
    if is_ours(path) {
        return Ok(());
    }
    fs::write(path.join(MARKER), MARKER_TEXT).map_err(unusable)
}

/// Refuses what [`claim`] would refuse, and changes nothing. A missing folder is no error.
pub fn check(path: &Path) -> Result<(), DataFolderError> {
    let unusable = |source| DataFolderError::Unusable {
        path: path.to_owned(),
        source,
    };
    let own = rustix::process::geteuid().as_raw();
    if let Ok(marker) = fs::metadata(path.join(MARKER)) {
        return if marker.uid() == own {
            Ok(())
        } else {
            Err(of_another(path, marker.uid()))
        };
    }
    let Ok(found) = fs::metadata(path) else {
        return Ok(());
    };
    let entries = fs::read_dir(path).map_err(|error| {
        if error.kind() == io::ErrorKind::PermissionDenied && found.uid() != own {
            return of_another(path, found.uid());
        }
        unusable(error)
    })?;
    for entry in entries {
        let entry = entry.map_err(unusable)?;
        if !is_ignored(&entry.file_name().to_string_lossy()) {
            return Err(DataFolderError::Foreign(path.to_owned()));
        }
    }
    Ok(())
}

fn of_another(path: &Path, owner: u32) -> DataFolderError {
    DataFolderError::Owner {
        path: path.to_owned(),
        owner: account_name(owner),
    }
}

/// Whether a replica has claimed the folder.
pub fn is_ours(path: &Path) -> bool {
    path.join(MARKER).is_file()
}

fn is_ignored(name: &str) -> bool {
    let kind = Path::new(name).extension().and_then(|kind| kind.to_str());
    name.starts_with('.') || name == "lost+found" || matches!(kind, Some("toml" | "key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_an_own_and_an_empty_folder_are_taken() {
        let root = tempfile::tempdir().unwrap();
        let new = root.path().join("a/b");

        claim(&new).unwrap();
        fs::write(new.join("anything"), "").unwrap();
        claim(&new).unwrap();

        assert!(is_ours(&new));
    }

    #[test]
    fn settings_may_be_in_it() {
        let root = tempfile::tempdir().unwrap();
        for name in ["causeway.toml", "cluster.key", ".hidden"] {
            fs::write(root.path().join(name), "").unwrap();
        }

        claim(root.path()).unwrap();
    }

    #[test]
    fn the_folder_of_someone_else_is_refused_and_left_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("thesis.tex"), "").unwrap();

        let refused = claim(root.path()).unwrap_err().to_string();

        assert!(refused.contains("data_dir"), "{refused}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_not_a_folder() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();

        assert!(matches!(
            claim(&file),
            Err(DataFolderError::Unusable { .. })
        ));
    }
}
