//! Clients that ask again until they are answered, and readers who go from replica to replica.

use std::collections::BTreeMap;

use causeway_domain::names::{GroupName, MessageId, User, UserId};
use causeway_domain::writing::Command;

use crate::reader::{Reader, Way};

const USERS: [&str; 5] = ["anna", "bert", "cora", "dirk", "elsa"];
const GROUPS: [&str; 2] = ["lobby", "attic"];
/// The group of each reader, how it reads, and how much it takes at a time.
const READERS: [(usize, Way, usize); 6] = [
    (0, Way::Stream, usize::MAX),
    (1, Way::Stream, usize::MAX),
    (0, Way::Poll, 1),
    (0, Way::Poll, 3),
    (1, Way::Poll, 2),
    (0, Way::Poll, 50),
];

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

impl Default for People {
    fn default() -> Self {
        let name = |&name: &&str| GroupName::parse(name).expect("a plain word");
        let user = |name: &&str| User {
            id: UserId::of_open_name(&GroupName::parse(name).expect("a plain word")),
            name: (*name).into(),
        };
        let groups: Vec<_> = GROUPS.iter().map(name).collect();
        let readers = READERS.iter();
        let readers = readers.map(|&(group, way, limit)| Reader::new(&groups[group], way, limit));
        Self {
            users: USERS.iter().map(user).collect(),
            readers: readers.collect(),
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
