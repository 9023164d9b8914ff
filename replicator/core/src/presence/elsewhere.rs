//! Who is online at any peer, counted once per user and group.

use std::collections::BTreeMap;

use causeway_domain::names::UserId;

use super::Online;

/// The users of a group whose state has changed: their name where they are online at some peer now.
pub type OnlineChanges = BTreeMap<(String, UserId), Option<String>>;

/// The union of the peers' sets.
#[derive(Debug, Default)]
pub struct Elsewhere {
    /// The name of each user, and at how many peers the user is online.
    users: BTreeMap<(String, UserId), (String, usize)>,
    changes: OnlineChanges,
}

impl Elsewhere {
    /// Applies the changes of one peer's set, in order.
    pub fn apply(&mut self, changes: Vec<(Online, bool)>) {
        for (Online { group, id, name }, is_online) in changes {
            let key = (group, id);
            if is_online {
                self.came(key, name);
            } else {
                self.went(key);
            }
        }
    }

    fn came(&mut self, key: (String, UserId), name: String) {
        let (_, peers) = self.users.entry(key.clone()).or_insert((name.clone(), 0));
        *peers += 1;
        if *peers == 1 {
            self.changes.insert(key, Some(name));
        }
    }

    fn went(&mut self, key: (String, UserId)) {
        let Some((_, peers)) = self.users.get_mut(&key) else {
            return;
        };
        *peers -= 1;
        if *peers == 0 {
            self.users.remove(&key);
            self.changes.insert(key, None);
        }
    }

    /// Returns who came and went since the last call: the last state of each.
    pub fn take_changes(&mut self) -> OnlineChanges {
        std::mem::take(&mut self.changes)
    }
}
