//! The file beside the database: what the database must still hold at the next start.
//!
//! A restored dump looks like a healthy database. This file is not restored with it, so a replica
//! detects the restore without any peer (F1).

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use causeway_domain::writing::Record;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// A slot's bytes: one sector, which disks write whole or not at all.
const SLOT: usize = 512;
/// Read limit, above the size of the file.
const WHOLE: u64 = 4 * SLOT as u64;
/// The end of the file, which makes it JSON.
const END: &[u8] = b"]\n";

/// The file in a data folder: a JSON array of two slots of fixed size, written in turn.
///
/// The older slot is overwritten in place, so that a crash leaves the other one, and a write costs
/// one flush of data. Replacing a whole file costs two commits of the file system's journal, which
/// the database's own flushes then wait for: 3 to 30 ms on ext4 instead of a few tenths.
///
/// The file stays open, so that writes go on when the process can open no more files.
#[derive(Clone)]
pub struct Sidecar {
    path: PathBuf,
    open: Arc<Mutex<Option<File>>>,
}

/// What a slot holds.
#[derive(Serialize, Deserialize)]
struct Slot {
    /// Counts the writes of this file.
    number: u64,
    /// Digest of the number and the record: a slot torn by a crash is ignored.
    digest: String,
    record: Box<RawValue>,
}

impl Sidecar {
    /// Returns the file of a data folder without any I/O.
    pub fn in_folder(data_dir: &Path) -> Self {
        Self {
            path: data_dir.join("identity.json"),
            open: Arc::default(),
        }
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the newest record; `None` if it is missing or unreadable, as neither proves
    /// continuity.
    pub fn read(&self) -> io::Result<Option<Record>> {
        let newest = self.slots_by_path()?;
        let newest = newest.into_iter().flatten().max_by_key(number);
        Ok(newest.and_then(|slot| serde_json::from_str(slot.record.get()).ok()))
    }

    /// Creates its folder if missing. Called only at the start: a folder that vanishes under a
    /// running server must not come back empty.
    pub fn create_folder(&self) -> io::Result<()> {
        fs::create_dir_all(self.folder())
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// Writes a record durably: after a crash the file holds the previous record or this one.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = if let Some(file) = open.as_ref().filter(|file| self.is_in_place(file)) {
            slots_of(file)?
        } else {
            let slots = self.slots_by_path()?;
            *open = self.open_to_write()?;
            slots
        };
        let newest = slots.iter().flatten().map(number).max().unwrap_or(0);
        let fresh = encode(newest + 1, record)?;
        let index = match &slots {
            [Some(first), second] if second.as_ref().is_none_or(|it| it.number < first.number) => 1,
            _ => 0,
        };
        match open.as_ref() {
            Some(file) if slots.iter().any(Option::is_some) => {
                file.write_all_at(&framed(index, &fresh), (index * SLOT) as u64)?;
                file.sync_data()
            }
            _ => {
                self.create(&fresh)?;
                *open = self.open_to_write()?;
                Ok(())
            }
        }
    }

    /// Whether this file is still the one at the path: an operator may have exchanged it.
    fn is_in_place(&self, file: &File) -> bool {
        let identity = |of: fs::Metadata| (of.dev(), of.ino());
        let there = fs::metadata(&self.path).map(identity);
        there.is_ok_and(|there| {
            file.metadata()
                .map(identity)
                .is_ok_and(|held| held == there)
        })
    }

    fn open_to_write(&self) -> io::Result<Option<File>> {
        unless_missing(File::options().read(true).write(true).open(&self.path))
    }

    /// Reads the slots that are whole.
    fn slots_by_path(&self) -> io::Result<[Option<Slot>; 2]> {
        // Another kind of file at this path, such as a device, may have no end.
        let read = File::open(&self.path).and_then(|file| {
            let mut bytes = Vec::new();
            file.take(WHOLE).read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        let bytes = unless_missing(read)?.unwrap_or_default();
        Ok([0, 1].map(|index| decode(&bytes, index)))
    }

    fn create(&self, slot: &[u8]) -> io::Result<()> {
        let fresh = self.path.with_extension("json.new");
        let mut file = File::create(&fresh)?;
        file.write_all(&framed(0, slot))?;
        file.write_all(&framed(1, b"null"))?;
        file.write_all(END)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        File::open(self.folder())?.sync_all()
    }
}

/// Reads the slots that are whole from the open file.
fn slots_of(file: &File) -> io::Result<[Option<Slot>; 2]> {
    let mut bytes = [0; 2 * SLOT];
    let mut length = 0;
    while length < bytes.len() {
        match file.read_at(&mut bytes[length..], length as u64)? {
            0 => break,
            more => length += more,
        }
    }
    Ok([0, 1].map(|index| decode(&bytes[..length], index)))
}

fn unless_missing<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
        outcome => outcome.map(Some),
    }
}

fn number(slot: &Slot) -> u64 {
    slot.number
}

fn encode(number: u64, record: &Record) -> io::Result<Vec<u8>> {
    let record = serde_json::value::to_raw_value(record)?;
    let digest = digest(number, &record);
    let slot = Slot {
        number,
        digest,
        record,
    };
    let bytes = serde_json::to_vec(&slot)?;
    // The slot also holds a bracket or comma before the record and a line feed after it.
    if bytes.len() + 2 > SLOT {
        return Err(io::Error::other("the record is larger than its slot"));
    }
    Ok(bytes)
}

/// A slot as it stands in the file, padded to its size.
fn framed(index: usize, slot: &[u8]) -> [u8; SLOT] {
    let mut bytes = [b' '; SLOT];
    bytes[0] = if index == 0 { b'[' } else { b',' };
    bytes[1..=slot.len()].copy_from_slice(slot);
    bytes[SLOT - 1] = b'\n';
    bytes
}

fn decode(file: &[u8], index: usize) -> Option<Slot> {
    let bytes = file.get(index * SLOT + 1..(index + 1) * SLOT)?;
    let slot: Slot = serde_json::from_slice(bytes).ok()?;
    (slot.digest == digest(slot.number, &slot.record)).then_some(slot)
}

fn digest(number: u64, record: &RawValue) -> String {
    let mut sum = Sha256::new();
    sum.update(number.to_be_bytes());
    sum.update(record.get());
    format!("{:x}", sum.finalize())
}

#[cfg(test)]
mod tests {
    use causeway_domain::hlc::Hlc;
    use causeway_domain::ids::{Epoch, Origin, ReplicaId};

    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let sidecar = Sidecar::in_folder(&folder.path().join("not there yet"));
        let (first, second) = (record(1), record(2));

        assert_eq!(sidecar.read().unwrap(), None);
        assert!(sidecar.write(&first).is_err());
        sidecar.create_folder().unwrap();
        sidecar.write(&first).unwrap();
        assert_eq!(sidecar.read().unwrap(), Some(first.clone()));
        for again in [&second, &first, &second] {
            sidecar.write(again).unwrap();
            assert_eq!(sidecar.read().unwrap().as_ref(), Some(again));
        }
    }

    #[test]
    fn the_file_is_json_of_fixed_size() {
        let folder = tempfile::tempdir().unwrap();
        let sidecar = Sidecar::in_folder(folder.path());
        for seq_seen in [0, 1, u64::MAX] {
            sidecar.write(&record(seq_seen)).unwrap();
            let bytes = fs::read(sidecar.path()).unwrap();
            assert_eq!(bytes.len(), 2 * SLOT + END.len());
            let slots: Vec<serde_json::Value> = serde_json::from_slice(&bytes).unwrap();
            let holds = |slot: &serde_json::Value| slot["record"]["seq_seen"] == seq_seen;
            assert!(slots.iter().any(holds), "{slots:?}");
        }
    }

    /// A crash may tear the slot that is being written at any byte.
    #[test]
    fn a_write_that_is_cut_anywhere_leaves_the_record_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let sidecar = Sidecar::in_folder(folder.path());
        for seq_seen in [1, 2, 3] {
            sidecar.write(&record(seq_seen)).unwrap();
        }
        let before = fs::read(sidecar.path()).unwrap();
        sidecar.write(&record(4)).unwrap();
        let after = fs::read(sidecar.path()).unwrap();
        let mut seen = [0, 0];
        for cut in 0..before.len() {
            let torn = [&after[..cut], &before[cut..]].concat();
            fs::write(sidecar.path(), torn).unwrap();
            let seq_seen = sidecar.read().unwrap().expect("one is whole").seq_seen;
            assert!([3, 4].contains(&seq_seen), "{seq_seen} when cut at {cut}");
            seen[usize::try_from(seq_seen - 3).unwrap()] += 1;
        }
        assert!(seen.iter().all(|times| *times > 0), "{seen:?}");
    }

    #[test]
    fn a_file_that_was_exchanged_or_emptied_is_written_where_it_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let sidecar = Sidecar::in_folder(folder.path());
        let elsewhere = folder.path().join("elsewhere");
        let written = |seq_seen| {
            sidecar.write(&record(seq_seen)).unwrap();
            let read = Sidecar::in_folder(folder.path()).read().unwrap();
            assert_eq!(read, Some(record(seq_seen)));
        };
        written(1);

        fs::rename(sidecar.path(), &elsewhere).unwrap();
        written(2);
        fs::rename(&elsewhere, sidecar.path()).unwrap();
        written(3);
        fs::write(sidecar.path(), "").unwrap();
        written(4);
        written(5);
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
