//! The outboxes of a user in a folder: one file for each client that runs at the same time.
//!
//! A client locks the first file that is free, and takes over the files of clients that no longer
//! run. The lock is a file of its own, because an outbox is rewritten by renaming.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use super::journal::{bytes_of, read};
use super::{Damage, Disk, Outbox, Unsent};
use crate::{folders, names};

/// The most clients of one user at the same time.
const MOST: usize = 64;

/// Where unsent messages are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In files in this folder.
    Folder(PathBuf),
    /// In memory, as long as the program runs.
    Memory,
    /// Nowhere, and why there is no folder.
    Nowhere(String),
}

/// Why an outbox cannot be opened, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no folder.
    #[error("{0}; or add --outbox none, to send without keeping")]
    NoFolder(String),
    /// The folder or a file in it cannot be used.
    #[error(
        "the outbox {path} cannot be used: {error}. Make it writable, name another folder with \
         --outbox, or add --outbox none, to send without keeping"
    )]
    Io {
        /// What cannot be used.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The file was written by something else.
    #[error(
        "the outbox {path} cannot be used: {damage}. Install the newer one, or name another \
         folder with --outbox"
    )]
    Damaged {
        /// Which file.
        path: String,
        /// Why.
        damage: Damage,
    },
}

/// An outbox that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The outbox.
    pub outbox: Outbox,
    /// How many lines could not be read, and the file in which they are kept.
    pub damaged: Option<(usize, String)>,
}

impl Storage {
    /// Opens the outbox of a user.
    ///
    /// # Errors
    /// The text says what to do.
    pub fn open(&self, user: &str) -> Result<Opened, OpenError> {
        match self {
            Self::Folder(folder) => open(folder, user),
            Self::Memory => Ok(Opened {
                outbox: Outbox::default(),
                damaged: None,
            }),
            Self::Nowhere(why) => Err(OpenError::NoFolder(why.clone())),
        }
    }
}

fn open(folder: &Path, user: &str) -> Result<Opened, OpenError> {
    let folder = &std::path::absolute(folder).map_err(|error| unusable(folder, error))?;
    create(folder).map_err(|error| unusable(folder, error))?;
    let mut own = None;
    let mut left = Vec::new();
    for number in 1..=MOST {
        let path = folder.join(file_name(user, number));
        if own.is_some() && !path.exists() {
            continue;
        }
        let Some(lock) = lock(&path).map_err(|error| unusable(&path, error))? else {
            continue;
        };
        let loaded = load(&path);
        if own.is_none() {
            let (waiting, damaged) = loaded?;
            own = Some((path, lock, waiting, damaged));
        } else if let Ok((waiting, _)) = loaded
            && !waiting.is_empty()
        {
            left.push((path, lock, waiting));
        }
    }
    let Some((path, lock, mut waiting, damaged)) = own else {
        let error = io::Error::other("too many clients run under this name");
        return Err(unusable(folder, error));
    };
    let taken = left.iter().flat_map(|(_, _, waiting)| waiting);
    for unsent in taken {
        if !waiting.iter().any(|known| known.key == unsent.key) {
            waiting.push(unsent.clone());
        }
    }
    let disk = rewrite(&path, lock, &waiting).map_err(|error| unusable(&path, error))?;
    // The messages are stored here now, so the files they came from may go.
    for (path, _lock, _) in &left {
        // A file that stays is taken over again, and its messages are sent again with their keys.
        let _ = std::fs::remove_file(path);
    }
    Ok(Opened {
        outbox: Outbox::new(waiting, Box::new(disk)),
        damaged,
    })
}

fn unusable(path: &Path, error: io::Error) -> OpenError {
    OpenError::Io {
        path: folders::short(path),
        error,
    }
}

/// Creates the folder, which only its owner can read.
fn create(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let new = folder.ancestors().take_while(|path| !path.is_dir()).count();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    // A new folder survives a power cut only once the folder above it is synced.
    for above in folder.ancestors().skip(1).take(new) {
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

/// `#` occurs in no name, so no other user's file has this name.
fn file_name(user: &str, number: usize) -> String {
    let name: String = names::folded(user)
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '%'
            }
        })
        .collect();
    if number > 1 {
        return format!("{name}#{number}.outbox");
    }
    name + ".outbox"
}

fn private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Takes the lock of an outbox, unless another client holds it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = private(&path.with_extension("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

type Loaded = (Vec<Unsent>, Option<(usize, String)>);

fn load(path: &Path) -> Result<Loaded, OpenError> {
    let mut bytes = Vec::new();
    private(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|error| unusable(path, error))?;
    let read = read(&bytes).map_err(|damage| OpenError::Damaged {
        path: folders::short(path),
        damage,
    })?;
    let damaged = if read.damaged > 0 {
        let beside = path.with_extension("damaged");
        std::fs::copy(path, &beside).map_err(|error| unusable(&beside, error))?;
        Some((read.damaged, folders::short(&beside)))
    } else {
        None
    };
    Ok((read.waiting, damaged))
}

/// Replaces the file by one with just these messages, in one step.
fn rewrite(path: &Path, lock: File, waiting: &[Unsent]) -> io::Result<OutboxFile> {
    let mut file = private(path)?;
    if !waiting.is_empty() || file.metadata()?.len() > 0 {
        let beside = path.with_extension("new");
        file = private(&beside)?;
        file.set_len(0)?;
        file.write_all(&bytes_of(waiting))?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
    }
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    let length = file.stream_position()?;
    Ok(OutboxFile {
        file,
        length,
        _lock: lock,
    })
}

/// The file of an outbox, and its lock.
#[derive(Debug)]
struct OutboxFile {
    file: File,
    length: u64,
    _lock: File,
}

impl Disk for OutboxFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.seek(io::SeekFrom::Start(length))?;
        self.length = length;
        Ok(())
    }

    fn length(&self) -> u64 {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::unsent;
    use super::*;

    fn keys(opened: &Opened) -> Vec<String> {
        let all = opened.outbox.all().iter();
        all.map(|unsent| unsent.key.clone()).collect()
    }

    #[test]
    fn what_is_unsent_is_there_again_and_only_for_its_user() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::Folder(folder.path().join("outbox"));
        let mut first = storage.open("Ann").unwrap();
        for key in ["1", "2", "3"] {
            first.outbox.push(unsent(key, "lobby")).unwrap();
        }
        first.outbox.sent("2");
        drop(first);

        assert_eq!(keys(&storage.open("ann").unwrap()), ["1", "3"]);
        assert_eq!(keys(&storage.open("ann.2").unwrap()), [""; 0]);
    }

    #[test]
    fn a_second_client_has_an_outbox_of_its_own_that_the_next_takes_over() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::Folder(folder.path().to_owned());
        let mut first = storage.open("ann").unwrap();
        let mut second = storage.open("ann").unwrap();
        first.outbox.push(unsent("1", "lobby")).unwrap();
        second.outbox.push(unsent("2", "lobby")).unwrap();

        drop(second);
        let third = storage.open("ann").unwrap();
        assert_eq!(keys(&third), ["2"]);
        drop((first, third));

        assert_eq!(keys(&storage.open("ann").unwrap()), ["1", "2"]);
        assert_eq!(keys(&storage.open("ann").unwrap()), ["1", "2"]);
    }

    #[test]
    fn a_file_of_a_newer_version_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ann.outbox");
        std::fs::write(&path, "{\"causeway_outbox\":9}\nwhatever\n").unwrap();

        let refused = Storage::Folder(folder.path().to_owned()).open("ann");

        let sentence = refused.unwrap_err().to_string();
        assert!(
            sentence.contains("written by a newer version"),
            "{sentence}"
        );
        let after = std::fs::read_to_string(&path).unwrap();
        assert_eq!(after, "{\"causeway_outbox\":9}\nwhatever\n");
    }

    #[test]
    fn damaged_lines_are_kept_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ann.outbox");
        let mut bytes = bytes_of(&[unsent("1", "lobby")]);
        bytes.extend_from_slice(b"rot\n");
        std::fs::write(&path, &bytes).unwrap();

        let opened = Storage::Folder(folder.path().to_owned())
            .open("ann")
            .unwrap();

        assert_eq!(keys(&opened), ["1"]);
        assert_eq!(opened.damaged.unwrap().0, 1);
        assert_eq!(
            std::fs::read(folder.path().join("ann.damaged")).unwrap(),
            bytes
        );
    }

    #[test]
    fn messages_are_for_nobody_elses_eyes() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        let _opened = Storage::Folder(inner.clone()).open("ann").unwrap();

        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;

        assert_eq!(mode(&inner), 0o700);
        assert_eq!(mode(&inner.join("ann.outbox")), 0o600);
    }
}
