//! The promise of the outbox: each message is stored once, in the order of its group, or is still in
//! the outbox with the reason, however often program, machine, disk and servers fail.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use causeway_client::CallError;
use proptest::prelude::*;

use super::journal::read;
use super::tests::unsent;
use super::{Disk, Outbox, Outcome, outcome_of};

/// The bytes of a disk: all that were synced survive, and an arbitrary part of the rest.
#[derive(Debug, Default)]
struct Bytes {
    all: Vec<u8>,
    synced: usize,
    /// How many more bytes fit, if it fills up.
    room: Option<usize>,
}

#[derive(Debug, Clone, Default)]
struct FailingDisk(Arc<Mutex<Bytes>>);

impl FailingDisk {
    fn bytes(&self) -> MutexGuard<'_, Bytes> {
        self.0.lock().unwrap()
    }

    /// The machine loses power: this percentage of the unsynced bytes survives.
    fn lose_power(&self, share: usize) {
        let mut bytes = self.bytes();
        let unsure = bytes.all.len() - bytes.synced;
        let left = bytes.synced + unsure * share / 100;
        bytes.all.truncate(left);
        bytes.synced = left;
        bytes.room = None;
    }

    fn open(&self) -> Outbox {
        let waiting = read(&self.bytes().all).unwrap();
        assert_eq!(waiting.damaged, 0);
        // As on a real disk, the journal begins anew with what waits.
        let fresh = super::journal::bytes_of(&waiting.waiting);
        let mut bytes = self.bytes();
        bytes.synced = fresh.len();
        bytes.all = fresh;
        drop(bytes);
        Outbox::new(waiting.waiting, Box::new(self.clone()))
    }
}

impl Disk for FailingDisk {
    fn append(&mut self, added: &[u8]) -> io::Result<()> {
        let mut bytes = self.bytes();
        let taken = bytes.room.map_or(added.len(), |room| room.min(added.len()));
        bytes.all.extend_from_slice(&added[..taken]);
        bytes.room = bytes.room.map(|room| room - taken);
        if taken < added.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut bytes = self.bytes();
        bytes.synced = bytes.all.len();
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let mut bytes = self.bytes();
        let length = usize::try_from(length).unwrap();
        bytes.all.truncate(length);
        bytes.synced = bytes.synced.min(length);
        Ok(())
    }

    fn length(&self) -> u64 {
        self.bytes().all.len() as u64
    }
}

/// A step of a trial.
#[derive(Debug, Clone, Copy)]
enum Step {
    Write {
        group: usize,
    },
    /// Send the next message, with this outcome.
    Send(Luck),
    /// The program crashes; this percentage of the unsynced bytes survives.
    Crash {
        share: usize,
    },
    /// From now on the disk takes this many bytes.
    Fill {
        room: usize,
    },
    /// The first refused message is changed.
    Edit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Luck {
    Answered,
    AnswerLost,
    NeverArrived,
    Refused,
    NotYetAMember,
    /// The program crashes before sending, after the server has stored it, after the answer.
    CrashBefore,
    CrashAfter,
    CrashOnAnswer,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let luck = prop::sample::select(vec![
        Luck::Answered,
        Luck::AnswerLost,
        Luck::NeverArrived,
        Luck::Refused,
        Luck::NotYetAMember,
        Luck::CrashBefore,
        Luck::CrashAfter,
        Luck::CrashOnAnswer,
    ]);
    let step = prop_oneof![
        3 => (0..2_usize).prop_map(|group| Step::Write { group }),
        5 => luck.prop_map(Step::Send),
        1 => (0..=100_usize).prop_map(|share| Step::Crash { share }),
        1 => (0..300_usize).prop_map(|room| Step::Fill { room }),
        1 => Just(Step::Edit),
    ];
    prop::collection::vec(step, 0..60)
}

const GROUPS: [&str; 2] = ["lobby", "other"];

/// The program, its disk, and the servers.
struct Trial {
    disk: FailingDisk,
    outbox: Outbox,
    /// Keys in the order in which they were first stored, by group.
    stored: [Vec<String>; 2],
    /// Keys that a server stored, in order.
    accepted: Vec<String>,
    refused: BTreeSet<String>,
    /// Keys that the outbox accepted, in order.
    written: [Vec<String>; 2],
    edits: BTreeSet<String>,
    drawn: usize,
}

impl Trial {
    fn new() -> Self {
        let disk = FailingDisk::default();
        Self {
            outbox: disk.open(),
            disk,
            stored: Default::default(),
            accepted: Vec::new(),
            refused: BTreeSet::new(),
            written: Default::default(),
            edits: BTreeSet::new(),
            drawn: 0,
        }
    }

    fn crash(&mut self, share: usize) {
        self.disk.lose_power(share);
        self.outbox = self.disk.open();
    }

    fn draw_key(&mut self) -> String {
        self.drawn += 1;
        format!("k{}", self.drawn)
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Write { group } => {
                let key = self.draw_key();
                let mut message = unsent(&key, GROUPS[group]);
                message.joined = Some("mark".into());
                if self.outbox.push(message).is_ok() {
                    self.written[group].push(key);
                }
            }
            Step::Send(luck) => self.send(luck),
            Step::Crash { share } => self.crash(share),
            Step::Fill { room } => self.disk.bytes().room = Some(room),
            Step::Edit => self.edit(),
        }
    }

    fn edit(&mut self) {
        let refused = self
            .outbox
            .all()
            .iter()
            .find(|unsent| unsent.refused.is_some());
        let Some(former) = refused.cloned() else {
            return;
        };
        let key = self.draw_key();
        let group = usize::from(former.group == GROUPS[1]);
        if self
            .outbox
            .replace(&former.key, &unsent(&key, &former.group))
            .is_ok()
        {
            self.written[group].retain(|written| *written != former.key);
            self.written[group].push(key.clone());
            self.edits.insert(key);
        }
    }

    fn send(&mut self, luck: Luck) {
        let Some(mut next) = self.outbox.next("c", &[]).cloned() else {
            return;
        };
        if self.outbox.tried(&next.key).is_err() {
            return;
        }
        let refusal = |code: &str| CallError::Refused {
            status: 403,
            code: code.into(),
            detail: String::new(),
            retry_after_s: None,
        };
        match luck {
            Luck::Answered => {
                self.store(&next.group, &next.key);
                self.outbox.sent(&next.key);
            }
            Luck::AnswerLost => self.store(&next.group, &next.key),
            // A server that has stored a message answers with it, not with a refusal.
            Luck::Refused if !self.accepted.contains(&next.key) => {
                assert_eq!(outcome_of(&mut next, &refusal("invalid")), Outcome::Refused);
                self.refused.insert(next.key.clone());
                self.outbox.refused(&next.key, "too long");
            }
            Luck::NotYetAMember if next.joined.is_some() && !next.awaits_join => {
                assert_eq!(
                    outcome_of(&mut next, &refusal("not_a_member")),
                    Outcome::AwaitsJoin
                );
                self.outbox.update(&next);
            }
            Luck::NeverArrived | Luck::Refused | Luck::NotYetAMember => {}
            Luck::CrashBefore => self.crash(50),
            Luck::CrashAfter => {
                self.store(&next.group, &next.key);
                self.crash(0);
            }
            Luck::CrashOnAnswer => {
                self.store(&next.group, &next.key);
                self.outbox.sent(&next.key);
                self.crash(0);
            }
        }
    }

    fn store(&mut self, group: &str, key: &str) {
        if !self.accepted.iter().any(|known| known == key) {
            self.accepted.push(key.to_owned());
            self.stored[usize::from(group == GROUPS[1])].push(key.to_owned());
        }
    }

    /// Without further faults.
    fn calm(&mut self) {
        self.crash(100);
        while self.outbox.next("c", &[]).is_some() {
            self.send(Luck::Answered);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn an_accepted_message_is_stored_once_and_in_order_or_is_still_there(steps in steps()) {
        let mut trial = Trial::new();

        for step in steps {
            trial.take(step);
        }
        trial.calm();

        for group in 0..2 {
            let waiting = trial.outbox.all().iter();
            let kept: BTreeSet<_> = waiting.map(|unsent| unsent.key.clone()).collect();
            for key in &trial.written[group] {
                let is_stored = trial.stored[group].contains(key);
                prop_assert!(is_stored != kept.contains(key), "{key} is lost or twice");
                let is_refused = trial.refused.contains(key);
                prop_assert!(is_refused || !kept.contains(key), "{key} is not sent");
            }
            // A message that was edited, or refused before a crash lost that note, sorts where it was
            // sent last.
            let in_order = |keys: &[String]| -> Vec<String> {
                let changed = |key: &String| trial.edits.contains(key) || trial.refused.contains(key);
                keys.iter().filter(|key| !changed(key)).cloned().collect()
            };
            let mut wanted = in_order(&trial.written[group]);
            wanted.retain(|key| trial.stored[group].contains(key));
            let mut stored = in_order(&trial.stored[group]);
            stored.retain(|key| trial.written[group].contains(key));
            prop_assert_eq!(stored, wanted);
            // A message that could not be stored was never sent.
            for key in &trial.stored[group] {
                prop_assert!(trial.written[group].contains(key), "{key} was reported as not sent");
            }
        }
    }
}
