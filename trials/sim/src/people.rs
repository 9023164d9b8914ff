//! Clients that retry until they are answered, and readers that move between replicas.

use std::collections::BTreeMap;

use causeway_domain::names::{GroupName, MessageId, User, UserId};
use causeway_domain::writing::Command;

use crate::reader::{Mode, Reader};

const USERS: [&str; 5] = ["anna", "bert", "cora", "dirk", "elsa"];
const GROUPS: [&str; 2] = ["lobby", "attic"];
/// The group, mode and frame limit of each reader.
const READERS: [(usize, Mode, usize); 6] = [
    (0, Mode::Stream, usize::MAX),
    (1, Mode::Stream, usize::MAX),
    (0, Mode::Poll, 1),
    (0, Mode::Poll, 3),
    (1, Mode::Poll, 2),
    (0, Mode::Poll, 50),
];

/// All clients and readers.
pub(crate) struct People {
    pub users: Vec<User>,
    pub groups: Vec<GroupName>,
    pub requests: BTreeMap<u64, Request>,
    /// Messages that were acknowledged to a client.
    pub known: Vec<(GroupName, MessageId)>,
    /// Used idempotency keys: author, group, key, and index of the replica.
    pub keys: Vec<(User, GroupName, String, usize)>,
    pub readers: Vec<Reader>,
}

/// A client's unanswered request.
pub(crate) struct Request {
    pub command: Command,
    /// Whether it may be sent again without effect.
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
        let readers = readers.map(|&(group, mode, limit)| Reader::new(&groups[group], mode, limit));
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
    /// Closes all streams at a replica.
    pub fn lose_replica(&mut self, at: usize) {
        for reader in &mut self.readers {
            reader.stream.take_if(|stream| stream.at == at);
        }
    }
}
