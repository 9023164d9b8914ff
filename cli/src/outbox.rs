//! What was written and is not answered yet.
//!
//! Each message has its key, and stands in the journal, before its first byte leaves; so sending it
//! again, to any replica, after any crash, ends as one message. Decides what is sent next and what
//! an answer means; knows no network and no file: the journal's bytes go to a [`Disk`]. Used by
//! `chat` and by the command `send`.

#[cfg(test)]
mod crashes;
mod folder;
mod journal;
mod memory;
mod verdict;

use std::io;

pub use self::folder::Keeping;
pub use self::journal::{Damage, Disk};
use self::journal::{Journal, Record};
pub use self::verdict::{Verdict, judge};
use crate::names;

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Unsent {
    /// The name of this message, drawn once.
    pub key: String,
    /// Where it goes.
    pub group: String,
    /// As written.
    pub text: String,
    /// When it was written.
    pub sent_at: String,
    /// The server it was written for.
    pub server: String,
    /// The cluster it was written for; none where no server had answered yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The mark of its author's join of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<String>,
    /// Whether a server may have got it already.
    #[serde(default)]
    pub tried: bool,
    /// Why a server does not take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Whether a replica did not know of the join: then it is asked to wait for it.
    #[serde(skip)]
    pub awaits_join: bool,
    /// Whether lines before it are still to be carried out; after a crash none are.
    #[serde(skip)]
    pub awaits_turn: bool,
}

impl Unsent {
    /// What a replica must hold before it is asked to take this message.
    pub fn at_least(&self) -> Option<&str> {
        self.joined.as_deref().filter(|_| self.awaits_join)
    }

    /// A replica does not know of the join; returns whether it only has to hear of it.
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
    /// One that is gone with the program.
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

    /// Takes a message in; once this returns it is kept.
    ///
    /// # Errors
    /// It cannot be kept, and is not taken in.
    pub fn push(&mut self, unsent: Unsent) -> io::Result<()> {
        self.journal.keep(&Record::Add(unsent.clone()))?;
        self.waiting.push(unsent);
        Ok(())
    }

    /// The message to send next in this cluster: the oldest of a group that is not passed over.
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

    /// What was written for these servers, before any of them answered, is for this cluster.
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

    /// The message is about to leave for the first time.
    ///
    /// # Errors
    /// That cannot be kept: then it must not leave.
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

    /// The message was judged: remembers what its next try must say.
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

    /// The message with this key is sent.
    pub fn sent(&mut self, key: &str) {
        self.waiting.retain(|unsent| unsent.key != key);
        if self.waiting.is_empty() {
            self.journal.restart();
        } else {
            // Lost in a crash, it is sent once more with its key, and stays one message.
            self.journal.note(&Record::Done {
                key: key.to_owned(),
            });
        }
    }

    /// The message with this key is not taken; it stays, to be edited.
    pub fn refused(&mut self, key: &str, reason: &str) {
        if let Some(unsent) = self.waiting.iter_mut().find(|unsent| unsent.key == key) {
            unsent.refused = Some(reason.to_owned());
            // Lost in a crash, it is refused once more.
            self.journal.note(&Record::Refused {
                key: key.to_owned(),
                reason: reason.to_owned(),
            });
        }
    }

    /// Forgets a message.
    ///
    /// # Errors
    /// That cannot be kept: the message stays.
    pub fn drop_message(&mut self, key: &str) -> io::Result<()> {
        self.journal.keep(&Record::Done {
            key: key.to_owned(),
        })?;
        self.waiting.retain(|unsent| unsent.key != key);
        Ok(())
    }

    /// The turn of a message has come that was kept ahead; `now` is what it would be if it were
    /// written now.
    ///
    /// # Errors
    /// It would be another, and that cannot be kept.
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

    /// No line is carried out any more.
    pub fn end_turns(&mut self) {
        for unsent in &mut self.waiting {
            unsent.awaits_turn = false;
        }
    }

    /// Puts a message in the place of another, as one step.
    ///
    /// # Errors
    /// That cannot be kept: the former message stays.
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

    /// All of them, in order.
    pub fn all(&self) -> &[Unsent] {
        &self.waiting
    }

    /// How many wait to be sent.
    pub fn len(&self) -> usize {
        self.waiting
            .iter()
            .filter(|unsent| unsent.refused.is_none())
            .count()
    }

    /// How many of them are for this cluster; all where none has answered yet.
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

    /// How many were refused and not dropped.
    pub fn refusals(&self) -> usize {
        self.waiting.len() - self.len()
    }
}

/// A key that nobody else draws: 128 random bits.
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
