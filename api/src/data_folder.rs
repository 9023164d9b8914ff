//! Ownership of the data folder: a typing error in a setting must not scatter a database among
//! somebody's documents, nor let `--fresh` delete them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const MARKER: &str = "causeway-data";
const MARKER_TEXT: &str = "This folder belongs to a replica of Causeway.\n";

/// Why a folder cannot hold a replica's data.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// It holds files that are not ours.
    #[error("the data folder `{}` holds something that is not Causeway's: name another `data_dir`", .0.display())]
    Foreign(PathBuf),
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
    fs::write(path.join(MARKER), MARKER_TEXT).map_err(unusable)
}

/// Refuses what [`claim`] would refuse, and changes nothing. A missing folder is no error.
pub fn check(path: &Path) -> Result<(), DataFolderError> {
    let unusable = |source| DataFolderError::Unusable {
        path: path.to_owned(),
        source,
    };
    if is_ours(path) || !path.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(unusable)? {
        let entry = entry.map_err(unusable)?;
        if !is_ignored(&entry.file_name().to_string_lossy()) {
            return Err(DataFolderError::Foreign(path.to_owned()));
        }
    }
    Ok(())
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
