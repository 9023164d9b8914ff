//! Clients that ask again until they are answered, and readers who go from replica to replica.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::hlc::Hlc;
use causeway_domain::names::{GroupName, MessageId, User, UserId};
use causeway_domain::stamp::{Dot, OrderKey};
use causeway_domain::timeline::{FeedEntry, Kind, Place, Progress};
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::Command;

use crate::table::Table;

const USERS: [&str; 5] = ["anna", "bert", "cora", "dirk", "elsa"];
const GROUPS: [&str; 2] = ["lobby", "attic"];

/// Everybody who is no replica.
pub(crate) struct People {
    pub users: Vec<User>,
    pub groups: Vec<GroupName>,
    pub requests: BTreeMap<u64, Request>,
    /// Messages that somebody was told of.
    pub known: Vec<(GroupName, MessageId)>,
    /// Keys that were used, with the author, the group and where.
    pub keys: Vec<(User, GroupName, String, usize)>,
    pub readers: Vec<Reader>,
}

/// What one client wants, until it is answered.
pub(crate) struct Request {
    pub command: Command,
    /// It is harmless to send again.
    pub is_repeatable: bool,
    pub at: usize,
    pub tries: u32,
    pub again_ms: u64,
}

/// One reader of a group, and what the frames have told.
pub(crate) struct Reader {
    pub group: GroupName,
    /// Where the stream is.
    pub stay: Option<Stay>,
    /// The last cursor.
    pub place: Place,
    pub messages: BTreeMap<String, OrderKey>,
    /// (is it a membership, group or message, user).
    pub standings: BTreeMap<(bool, String, String), bool>,
    pub given: BTreeSet<String>,
    /// The frames of the last step, for the trace.
    pub told: Vec<(Dot, Kind)>,
}

/// A frame that should not have been given.
pub(crate) struct Wrong {
    pub message: String,
    pub what: &'static str,
}

/// A stream at one replica.
pub(crate) struct Stay {
    pub at: usize,
    pub progress: Progress,
    /// What was missed is still to be read from the table.
    pub is_behind: bool,
}

impl Wrong {
    fn new(entry: &FeedEntry, what: &'static str) -> Self {
        let message = entry.subject.clone();
        Self { message, what }
    }
}

impl Default for People {
    fn default() -> Self {
        let name = |&name: &&str| GroupName::parse(name).expect("a plain word");
        let user = |name: &&str| User {
            id: UserId::of_open_name(&GroupName::parse(name).expect("a plain word")),
            name: (*name).into(),
        };
        let groups: Vec<_> = GROUPS.iter().map(name).collect();
        let readers = groups.iter().chain(&groups[..1]).cloned();
        Self {
            users: USERS.iter().map(user).collect(),
            readers: readers.map(Reader::new).collect(),
            groups,
            requests: BTreeMap::new(),
            known: Vec::new(),
            keys: Vec::new(),
        }
    }
}

impl People {
    /// The streams of a replica have ended.
    pub fn lose_replica(&mut self, at: usize) {
        for reader in &mut self.readers {
            reader.stay.take_if(|stay| stay.at == at);
        }
    }
}

impl Reader {
    fn new(group: GroupName) -> Self {
        Self {
            group,
            stay: None,
            place: Place {
                given: VersionVector::default(),
                weighed: None,
                highest: Hlc::default(),
            },
            messages: BTreeMap::new(),
            standings: BTreeMap::new(),
            given: BTreeSet::new(),
            told: Vec::new(),
        }
    }

    /// Takes in one frame; tells what is wrong with it, and about which message.
    pub fn hear(
        &mut self,
        entry: &FeedEntry,
        kind: Kind,
        table: &Table,
        is_ahead: bool,
    ) -> Result<(), Wrong> {
        self.told.push((entry.position.dot(), kind));
        let is_membership = matches!(kind, Kind::Join | Kind::Leave);
        if !is_membership {
            let Some(shown) = table.seen.messages.get(&entry.subject) else {
                // A like that came before its message makes no frame; the message tells of it.
                let is_like = matches!(kind, Kind::Like | Kind::Unlike);
                return is_like
                    .then_some(())
                    .ok_or(Wrong::new(entry, "a frame about no message"));
            };
            self.messages.insert(entry.subject.clone(), shown.position);
        }
        let is_in = match kind {
            Kind::Message => {
                // A replica cannot know that a copy it lacks was given elsewhere.
                let is_new = self.given.insert(entry.subject.clone());
                if !is_new && !is_ahead {
                    return Err(Wrong::new(entry, "a message is given twice"));
                }
                if is_new {
                    self.hear_likes(&entry.subject, table);
                }
                return Ok(());
            }
            Kind::Moved => return Ok(()),
            Kind::Like | Kind::Join => true,
            Kind::Unlike | Kind::Leave => false,
        };
        let of = if is_membership {
            entry.group.to_string()
        } else {
            entry.subject.clone()
        };
        let standing = (is_membership, of, entry.user.id.0.clone());
        self.standings.insert(standing, is_in);
        Ok(())
    }

    /// A frame of a message carries who likes it.
    fn hear_likes(&mut self, id: &str, table: &Table) {
        let likes = table.seen.likes.range((id.to_owned(), String::new())..);
        for ((of, user), like) in likes.take_while(|((of, _), _)| of == id) {
            self.standings
                .insert((false, of.clone(), user.clone()), like.is_in);
        }
    }
}
