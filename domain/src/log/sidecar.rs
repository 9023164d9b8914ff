//! The file beside the database: what the database must still know when it comes back.
//!
//! A restored dump looks just like a healthy database. This file is not restored with it, so a
//! replica sees the difference also while it is alone (F1).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::writing::Record;

/// The file in a data folder.
#[derive(Clone)]
pub struct Sidecar {
    path: PathBuf,
}

impl Sidecar {
    /// Names the file; touches nothing.
    pub fn in_folder(data_dir: &Path) -> Self {
        Self {
            path: data_dir.join("identity.json"),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it. A missing or unreadable record proves nothing, which is the same as none.
    pub fn read(&self) -> io::Result<Option<Record>> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Makes its folder where there is none. Done once, at the start: a folder that vanishes under
    /// a running server must not come back empty.
    pub fn create_folder(&self) -> io::Result<()> {
        fs::create_dir_all(self.folder())
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// Replaces it, durably: after a crash the file is the old one or the new one.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        let folder = self.folder();
        let fresh = self.path.with_extension("json.new");
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hlc::Hlc;
    use crate::ids::{Epoch, Origin, ReplicaId};

    #[test]
    fn a_record_is_read_as_it_was_written_and_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let sidecar = Sidecar::in_folder(&folder.path().join("not there yet"));
        let (first, second) = (record(1), record(2));

        assert_eq!(sidecar.read().unwrap(), None);
        assert!(sidecar.write(&first).is_err());
        sidecar.create_folder().unwrap();
        sidecar.write(&first).unwrap();
        assert_eq!(sidecar.read().unwrap(), Some(first));
        sidecar.write(&second).unwrap();
        assert_eq!(sidecar.read().unwrap(), Some(second));
    }

    #[test]
    fn a_broken_record_proves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let sidecar = Sidecar::in_folder(folder.path());

        for broken in ["", "{", r#"{"origin":"1.00000007"}"#] {
            fs::write(sidecar.path(), broken).unwrap();
            assert_eq!(sidecar.read().unwrap(), None);
        }
    }

    fn record(seq_seen: u64) -> Record {
        Record {
            origin: Origin {
                replica: ReplicaId::new(1).unwrap(),
                epoch: Epoch(7),
            },
            seq_seen,
            hlc: Hlc::default(),
            system_identifier: "7".to_owned(),
            timeline: "00000001".to_owned(),
        }
    }
}
