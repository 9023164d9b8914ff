//! The outbox: messages that are written and not answered yet.
//!
//! Each message has an idempotency key, and is in the journal, before it is sent; so sending it
//! again, to any replica and after any crash, yields one message. Decides what is sent next and
//! what an answer means; knows no network and no file: the journal writes to a [`Disk`]. Used by
//! `chat` and by the command `send`.

#[cfg(test)]
mod crashes;
mod folder;
mod journal;
mod memory;
mod outcome;

use std::io;

pub use self::folder::Storage;
pub use self::journal::{Damage, Disk};
use self::journal::{Journal, Record};
pub use self::outcome::{Outcome, outcome_of};
use crate::names;

/// A message that no server has stored yet, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Unsent {
    /// Its idempotency key, drawn once.
    pub key: String,
    /// The group.
    pub group: String,
    /// As written.
    pub text: String,
    /// When it was written.
    pub sent_at: String,
    /// The server it was written for.
    pub server: String,
    /// The cluster it was written for; `None` while no server has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The mark of its author's join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<String>,
    /// Whether a server may have received it.
    #[serde(default)]
    pub tried: bool,
    /// Why a server refuses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Whether a replica lacked the join: then it is asked to wait for it.
    #[serde(skip)]
    pub awaits_join: bool,
    /// Whether lines before it are still to be processed; after a crash none are.
    #[serde(skip)]
    pub awaits_turn: bool,
}

impl Unsent {
    /// The mark that a replica must hold before it is asked to store this message.
    pub fn at_least(&self) -> Option<&str> {
        self.joined.as_deref().filter(|_| self.awaits_join)
    }

    /// A replica lacks the join. Returns whether it may still receive it.
    pub fn not_a_member(&mut self) -> bool {
        let may_pass = self.joined.is_some() && !self.awaits_join;
        self.awaits_join |= may_pass;
        may_pass
    }
}

/// Messages in the order in which they were written.
#[derive(Debug)]
pub struct Outbox {
    waiting: Vec<Unsent>,
    journal: Journal,
}

impl Default for Outbox {
    /// An outbox that ends with the program.
    fn default() -> Self {
        Self::new(Vec::new(), Box::new(memory::Memory::default()))
    }
}

impl Outbox {
    fn new(waiting: Vec<Unsent>, disk: Box<dyn Disk>) -> Self {
        Self {
            waiting,
            journal: Journal::new(disk),
        }
    }

    /// Stores a message durably.
    ///
    /// # Errors
    /// It cannot be stored, and is not in the outbox.
    pub fn push(&mut self, unsent: Unsent) -> io::Result<()> {
        self.journal.keep(&Record::Add(unsent.clone()))?;
        self.waiting.push(unsent);
        Ok(())
    }

    /// The message to send next in this cluster: the oldest whose group is not skipped.
    pub fn next(&self, cluster: &str, passed_over: &[String]) -> Option<&Unsent> {
        self.waiting.iter().find(|unsent| {
            unsent.refused.is_none()
                && !unsent.awaits_turn
                && unsent.cluster.as_deref() == Some(cluster)
                && !passed_over
                    .iter()
                    .any(|group| names::are_same(group, &unsent.group))
        })
    }

    /// Assigns messages that were written for these servers, before any of them answered, to this
    /// cluster.
    pub fn bind(&mut self, servers: &[&str], cluster: &str) {
        for unsent in &mut self.waiting {
            if unsent.cluster.is_none() && servers.contains(&unsent.server.as_str()) {
                unsent.cluster = Some(cluster.to_owned());
                self.journal.note(&Record::Bound {
                    key: unsent.key.clone(),
                    cluster: cluster.to_owned(),
                });
            }
        }
    }

    /// Records that the message is about to be sent for the first time.
    ///
    /// # Errors
    /// This cannot be recorded: the message must not be sent.
    pub fn tried(&mut self, key: &str) -> io::Result<()> {
        if let Some(unsent) = self.waiting.iter_mut().find(|unsent| unsent.key == key)
            && !unsent.tried
        {
            self.journal.keep(&Record::Tried {
                key: key.to_owned(),
            })?;
            unsent.tried = true;
        }
        Ok(())
    }

    /// Records what the next attempt must carry.
    pub fn update(&mut self, judged: &Unsent) {
        for unsent in self
            .waiting
            .iter_mut()
            .filter(|unsent| unsent.key == judged.key)
        {
            unsent.awaits_join = judged.awaits_join;
            unsent.joined.clone_from(&judged.joined);
        }
    }

    /// Removes a message that a server has stored.
    pub fn sent(&mut self, key: &str) {
        self.waiting.retain(|unsent| unsent.key != key);
        if self.waiting.is_empty() {
            self.journal.restart();
        } else {
            // If this note is lost, the message is sent again with its key, and remains one
            // message.
            self.journal.note(&Record::Done {
                key: key.to_owned(),
            });
        }
    }

    /// Marks a message as refused; it stays, to be edited.
    pub fn refused(&mut self, key: &str, reason: &str) {
        if let Some(unsent) = self.waiting.iter_mut().find(|unsent| unsent.key == key) {
            unsent.refused = Some(reason.to_owned());
            // If this note is lost, the message is refused again.
            self.journal.note(&Record::Refused {
                key: key.to_owned(),
                reason: reason.to_owned(),
            });
        }
    }

    /// Drops a message.
    ///
    /// # Errors
    /// This cannot be recorded: the message stays.
    pub fn drop_message(&mut self, key: &str) -> io::Result<()> {
        self.journal.keep(&Record::Done {
            key: key.to_owned(),
        })?;
        self.waiting.retain(|unsent| unsent.key != key);
        Ok(())
    }

    /// The turn of a message that was stored early has come; `now` is the message as it would be
    /// written now.
    ///
    /// # Errors
    /// It differs, and the change cannot be recorded.
    pub fn take_turn(&mut self, now: &Unsent) -> io::Result<()> {
        let kept = self.waiting.iter_mut().find(|kept| kept.key == now.key);
        match kept {
            Some(kept) if kept.group == now.group && kept.cluster == now.cluster => {
                kept.awaits_turn = false;
                kept.joined.clone_from(&now.joined);
                Ok(())
            }
            Some(_) => self.replace(&now.key, now),
            None => self.push(now.clone()),
        }
    }

    /// No line will be processed any more.
    pub fn end_turns(&mut self) {
        for unsent in &mut self.waiting {
            unsent.awaits_turn = false;
        }
    }

    /// Replaces a message, as one step.
    ///
    /// # Errors
    /// This cannot be recorded: the former message stays.
    pub fn replace(&mut self, key: &str, by: &Unsent) -> io::Result<()> {
        self.journal.keep(&Record::Replaced {
            key: key.to_owned(),
            by: by.clone(),
        })?;
        for unsent in self.waiting.iter_mut().filter(|unsent| unsent.key == key) {
            *unsent = by.clone();
        }
        Ok(())
    }

    /// All messages, in order.
    pub fn all(&self) -> &[Unsent] {
        &self.waiting
    }

    /// How many messages wait to be sent.
    pub fn len(&self) -> usize {
        self.waiting
            .iter()
            .filter(|unsent| unsent.refused.is_none())
            .count()
    }

    /// How many of them are for this cluster; all if it is unknown.
    pub fn len_for(&self, cluster: Option<&str>) -> usize {
        let waiting = self
            .waiting
            .iter()
            .filter(|unsent| unsent.refused.is_none());
        waiting
            .filter(|unsent| {
                cluster.is_none()
                    || unsent.cluster.is_none()
                    || unsent.cluster.as_deref() == cluster
            })
            .count()
    }

    /// How many messages are refused and not dropped.
    pub fn refusals(&self) -> usize {
        self.waiting.len() - self.len()
    }
}

/// A new idempotency key: 128 random bits.
pub fn draw_key() -> String {
    format!("{:032x}", u128::from_le_bytes(crate::random::bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn unsent(key: &str, group: &str) -> Unsent {
        Unsent {
            key: key.into(),
            group: group.into(),
            text: format!("text of {key}"),
            sent_at: String::new(),
            server: "http://a:1".into(),
            cluster: Some("c".into()),
            joined: None,
            tried: false,
            refused: None,
            awaits_join: false,
            awaits_turn: false,
        }
    }

    fn next_key(outbox: &Outbox, passed_over: &[String]) -> Option<String> {
        Some(outbox.next("c", passed_over)?.key.clone())
    }

    #[test]
    fn messages_leave_in_the_order_in_which_they_were_written() {
        let mut outbox = Outbox::default();
        for key in ["1", "2"] {
            outbox.push(unsent(key, "lobby")).unwrap();
        }

        assert_eq!(next_key(&outbox, &[]).as_deref(), Some("1"));
        outbox.sent("1");
        assert_eq!(next_key(&outbox, &[]).as_deref(), Some("2"));
        assert_eq!(outbox.len(), 1);
    }

    #[test]
    fn a_group_that_waits_does_not_keep_the_others_waiting() {
        let mut outbox = Outbox::default();
        for (key, group) in [("1", "lobby"), ("2", "LOBBY"), ("3", "other")] {
            outbox.push(unsent(key, group)).unwrap();
        }

        let next = next_key(&outbox, &["Lobby".to_owned()]);

        assert_eq!(next.as_deref(), Some("3"));
    }

    #[test]
    fn a_refused_message_stays_and_lets_the_next_go() {
        let mut outbox = Outbox::default();
        for key in ["1", "2"] {
            outbox.push(unsent(key, "lobby")).unwrap();
        }

        outbox.refused("1", "too long");

        assert_eq!(next_key(&outbox, &[]).as_deref(), Some("2"));
        assert_eq!((outbox.len(), outbox.refusals()), (1, 1));
        outbox.replace("1", &unsent("1b", "lobby")).unwrap();
        assert_eq!(next_key(&outbox, &[]).as_deref(), Some("1b"));
    }

    #[test]
    fn nothing_goes_to_a_cluster_it_was_not_written_for() {
        let mut outbox = Outbox::default();
        let early = Unsent {
            cluster: None,
            ..unsent("1", "lobby")
        };
        outbox.push(early).unwrap();

        assert_eq!(outbox.next("c", &[]), None);
        outbox.bind(&["http://elsewhere:1"], "c");
        assert_eq!(outbox.next("c", &[]), None);
        outbox.bind(&["http://a:1"], "c");
        assert!(outbox.next("c", &[]).is_some());
        assert_eq!(outbox.next("other", &[]), None);
        let counts = [None, Some("c"), Some("other")].map(|cluster| outbox.len_for(cluster));
        assert_eq!(counts, [1, 1, 0]);
    }

    #[test]
    fn keys_are_drawn_anew_and_printable() {
        let (one, two) = (draw_key(), draw_key());
        assert_ne!(one, two);
        assert!(one.len() == 32 && one.chars().all(|c| c.is_ascii_hexdigit()));
    }
}
