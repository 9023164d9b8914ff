//! The outbox as bytes: a line for its version, then a line of JSON for each record.
//!
//! A record that is kept is on the disk before anything follows from it; one that is only noted may
//! be lost in a crash, which is allowed where repeating the step changes nothing.

use std::io;

use serde::{Deserialize, Serialize};

use super::Unsent;

/// The version that this program writes.
const VERSION: u64 = 1;

/// Where the bytes are stored. A trait because tests use a disk that fails and forgets.
pub trait Disk: std::fmt::Debug + Send {
    /// Appends bytes; after a failure some of them may be there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns once all bytes survive a power cut.
    fn sync(&mut self) -> io::Result<()>;
    /// Truncates to this length.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// The number of bytes.
    fn length(&self) -> u64;
}

/// One step.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    Add(Unsent),
    Bound { key: String, cluster: String },
    Tried { key: String },
    Done { key: String },
    Refused { key: String, reason: String },
    Replaced { key: String, by: Unsent },
}

#[derive(Serialize, Deserialize)]
struct Head {
    causeway_outbox: u64,
}

/// Why bytes are not read as an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A later version of this program wrote them.
    #[error("it was written by a newer version of this program")]
    Newer,
    /// They are something else.
    #[error("it is not an outbox")]
    NoOutbox,
}

/// The content of an outbox.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) waiting: Vec<Unsent>,
    /// Whole lines that cannot be parsed.
    pub(super) damaged: usize,
}

/// Reads an outbox. A last line without its end was being written in a crash, and nothing had
/// followed from it.
///
/// # Errors
/// The file must be left alone.
pub(super) fn read(bytes: &[u8]) -> Result<Read, Damage> {
    let mut read = Read::default();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n');
    let Some(end) = whole else {
        // The very first line was being written.
        return if head().as_bytes().starts_with(bytes) || bytes.iter().all(|byte| *byte == 0) {
            Ok(read)
        } else {
            Err(Damage::NoOutbox)
        };
    };
    let mut lines = bytes[..end].split(|byte| *byte == b'\n');
    let head = lines.next().unwrap_or_default();
    match serde_json::from_slice::<Head>(head) {
        Ok(head) if head.causeway_outbox > VERSION => return Err(Damage::Newer),
        Ok(_) => {}
        Err(_) => return Err(Damage::NoOutbox),
    }
    for line in lines {
        match serde_json::from_slice(line) {
            Ok(record) => apply(&mut read.waiting, record),
            Err(_) => read.damaged += 1,
        }
    }
    Ok(read)
}

fn apply(waiting: &mut Vec<Unsent>, record: Record) {
    let find =
        |waiting: &mut Vec<Unsent>, key: &str| waiting.iter().position(|unsent| unsent.key == *key);
    match record {
        Record::Add(unsent) => {
            if find(waiting, &unsent.key).is_none() {
                waiting.push(unsent);
            }
        }
        Record::Bound { key, cluster } => {
            if let Some(at) = find(waiting, &key) {
                waiting[at].cluster = Some(cluster);
            }
        }
        Record::Tried { key } => {
            if let Some(at) = find(waiting, &key) {
                waiting[at].tried = true;
            }
        }
        Record::Done { key } => waiting.retain(|unsent| unsent.key != key),
        Record::Refused { key, reason } => {
            if let Some(at) = find(waiting, &key) {
                waiting[at].refused = Some(reason);
            }
        }
        Record::Replaced { key, by } => {
            if let Some(at) = find(waiting, &key) {
                waiting[at] = by;
            }
        }
    }
}

/// The bytes of an outbox that contains just these messages.
pub(super) fn bytes_of(waiting: &[Unsent]) -> Vec<u8> {
    let mut text = head();
    for unsent in waiting {
        text.push_str(&line(&Record::Add(unsent.clone())));
    }
    text.into_bytes()
}

fn head() -> String {
    line(&Head {
        causeway_outbox: VERSION,
    })
}

fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("these values have nothing that JSON lacks") + "\n"
}

/// Appends records.
#[derive(Debug)]
pub(super) struct Journal {
    disk: Box<dyn Disk>,
    /// Bytes of a failed record could not be removed: nothing can be appended after them.
    is_broken: bool,
}

impl Journal {
    /// A journal that goes on after what is on the disk.
    pub(super) fn new(disk: Box<dyn Disk>) -> Self {
        Self {
            disk,
            is_broken: false,
        }
    }

    /// Appends a record durably.
    pub(super) fn keep(&mut self, record: &Record) -> io::Result<()> {
        let before = self.mend()?;
        let kept = self.append(record).and_then(|()| self.disk.sync());
        if kept.is_err() {
            self.is_broken = self.disk.cut(before).is_err();
        }
        kept
    }

    /// Appends a record, if that is possible.
    pub(super) fn note(&mut self, record: &Record) {
        if let Ok(before) = self.mend()
            && self.append(record).is_err()
        {
            self.is_broken = self.disk.cut(before).is_err();
        }
    }

    /// Everything is answered: starts anew.
    pub(super) fn restart(&mut self) {
        // If this fails, everything is sent again after a crash, with its keys.
        if self.disk.cut(0).is_ok() {
            self.is_broken = false;
        }
    }

    /// The length up to which the journal is whole.
    fn mend(&mut self) -> io::Result<u64> {
        if self.is_broken {
            return Err(io::Error::other("an earlier record is only partly written"));
        }
        Ok(self.disk.length())
    }

    fn append(&mut self, record: &Record) -> io::Result<()> {
        let head = if self.disk.length() == 0 {
            head()
        } else {
            String::new()
        };
        self.disk.append((head + &line(record)).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::unsent;
    use super::*;

    proptest! {
        #[test]
        fn whatever_a_disk_gives_back_is_read_or_left_alone(
            noise in any::<Vec<u8>>(),
            cut in 0..400_usize,
            place in 0..400_usize,
        ) {
            let mut bytes = bytes_of(&[unsent("1", "lobby"), unsent("2", "lobby")]);
            bytes.truncate(cut);
            let place = place.min(bytes.len());
            bytes.splice(place..place, noise.clone());

            // Never a panic, and never more messages than were written.
            for bytes in [bytes, noise] {
                if let Ok(read) = read(&bytes) {
                    prop_assert!(read.waiting.len() <= 2);
                }
            }
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let waiting = vec![unsent("1", "lobby"), unsent("2", "général")];

        let read = read(&bytes_of(&waiting)).unwrap();

        assert_eq!((read.waiting, read.damaged), (waiting, 0));
    }

    #[test]
    fn a_last_line_without_end_is_passed_over_wherever_it_was_cut() {
        let whole = bytes_of(&[unsent("1", "lobby"), unsent("2", "lobby")]);
        for length in 0..whole.len() {
            let read = read(&whole[..length]).unwrap();

            let lines = whole[..length].split(|byte| *byte == b'\n').count();
            assert_eq!(read.waiting.len(), lines.saturating_sub(2), "{length}");
            assert_eq!(read.damaged, 0);
        }
    }

    #[test]
    fn what_a_newer_version_wrote_is_left_alone() {
        let newer = b"{\"causeway_outbox\":2}\n{\"add\":1}\n";

        assert_eq!(read(newer).unwrap_err(), Damage::Newer);
        assert_eq!(read(b"dear diary\n").unwrap_err(), Damage::NoOutbox);
        assert_eq!(read(b"dear diary").unwrap_err(), Damage::NoOutbox);
    }

    #[test]
    fn a_damaged_line_costs_only_itself() {
        let mut bytes = bytes_of(&[unsent("1", "lobby")]);
        bytes.extend_from_slice(b"{\"add\": rot\n");
        let more = bytes_of(&[unsent("2", "lobby")]);
        let after_head = more.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        bytes.extend_from_slice(&more[after_head..]);

        let read = read(&bytes).unwrap();

        assert_eq!((read.waiting.len(), read.damaged), (2, 1));
    }
}
