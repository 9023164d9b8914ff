//! Who is online where. Each replica reports its own users, nobody relays another's.
//!
//! A set has a version. Whoever hears a report says which version it holds of it; the teller then
//! sends nothing, the change, or the full set. Kept in memory only: a peer that goes down takes its
//! users offline.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use causeway_domain::names::UserId;
use serde::{Deserialize, Serialize};

use crate::instance::Instance;

/// Single changes remembered for peers that lag; who lags further gets the full set.
const REMEMBERED_CHANGES: usize = 4096;

/// A user with at least one live stream on a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Online {
    /// The group's name.
    pub group: String,
    /// Who.
    pub id: UserId,
    /// What the user is called.
    pub name: String,
}

/// Which version of a listener's set the speaker holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The process whose set it is.
    pub instance: Instance,
    /// Its version.
    pub version: u64,
}

/// The part of a digest about presence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of the speaker's own set.
    pub version: u64,
    /// What the speaker holds of the listener's set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// The way from an older version to `version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// The whole set at `version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<BTreeSet<Online>>,
}

/// What came and went since a version. Holds the final state of everybody it names, so it may be
/// applied to any version from `since` on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The version it starts from.
    pub since: u64,
    /// Who is online at its end.
    pub online: BTreeSet<Online>,
    /// Who is not.
    pub offline: BTreeSet<Online>,
}

/// This replica's own set.
#[derive(Debug, Default)]
pub struct OwnPresence {
    version: u64,
    online: BTreeSet<Online>,
    recent: VecDeque<(u64, Online, bool)>,
}

impl OwnPresence {
    /// Takes in who came and who went; tells whether that changed anything.
    pub fn change(
        &mut self,
        came: impl IntoIterator<Item = Online>,
        went: impl IntoIterator<Item = Online>,
    ) -> bool {
        let version = self.version + 1;
        for user in went {
            if self.online.remove(&user) {
                self.recent.push_back((version, user, false));
            }
        }
        for user in came {
            if self.online.insert(user.clone()) {
                self.recent.push_back((version, user, true));
            }
        }
        let is_changed = self.recent.back().is_some_and(|last| last.0 == version);
        if is_changed {
            self.version = version;
        }
        while self.recent.len() > REMEMBERED_CHANGES {
            self.recent.pop_front();
        }
        is_changed
    }

    /// The version of the set.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Makes the report for a listener, given what the listener is known to hold of this set.
    pub fn report(&self, instance: Instance, listener: Option<Held>, held: Option<Held>) -> Report {
        let mut report = Report {
            version: self.version,
            held,
            ..Report::default()
        };
        let listener = listener.filter(|held| held.instance == instance);
        match listener.map(|held| held.version) {
            Some(version) if version == self.version => {}
            Some(since) if self.remembers(since) => report.change = Some(self.since(since)),
            _ => report.full = Some(self.online.clone()),
        }
        report
    }

    /// Every change after `since` is still remembered.
    fn remembers(&self, since: u64) -> bool {
        let oldest_whole = match self.recent.front() {
            // The oldest remembered version may have been cut in two, so it does not count.
            Some(first) if self.recent.len() == REMEMBERED_CHANGES => first.0 + 1,
            Some(first) => first.0,
            None => self.version + 1,
        };
        since < self.version && since + 1 >= oldest_whole
    }

    fn since(&self, since: u64) -> Change {
        let last_state: BTreeMap<&Online, bool> = self
            .recent
            .iter()
            .filter(|(version, ..)| *version > since)
            .map(|(_, user, is_online)| (user, *is_online))
            .collect();
        let of = |wanted: bool| {
            let named = last_state.iter().filter(move |&(_, &is)| is == wanted);
            named.map(|(&user, _)| user.clone()).collect()
        };
        Change {
            since,
            online: of(true),
            offline: of(false),
        }
    }
}

/// What is held of a peer's set.
#[derive(Debug, Default)]
pub struct PeerPresence {
    held: Option<Held>,
    online: Arc<BTreeSet<Online>>,
}

impl PeerPresence {
    /// Takes in a report of the peer's process `instance`; tells whether the set changed. A report
    /// that does not fit is left, and `held` tells the peer so.
    pub fn absorb(&mut self, instance: Instance, report: Report) -> bool {
        let held = self.held.filter(|held| held.instance == instance);
        if held.is_some_and(|held| held.version >= report.version) {
            return false;
        }
        let online = match (report.full, report.change, held) {
            (Some(full), ..) => full,
            (None, Some(change), Some(held)) if change.since <= held.version => {
                apply(&self.online, change)
            }
            _ => return false,
        };
        self.held = Some(Held {
            instance,
            version: report.version,
        });
        let is_changed = *self.online != online;
        if is_changed {
            self.online = Arc::new(online);
        }
        is_changed
    }

    /// Forgets everything: the peer is down, or another process.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The version held.
    pub fn held(&self) -> Option<Held> {
        self.held
    }

    /// Who is online there.
    pub fn online(&self) -> &Arc<BTreeSet<Online>> {
        &self.online
    }
}

fn apply(before: &BTreeSet<Online>, change: Change) -> BTreeSet<Online> {
    let mut online = before.clone();
    online.retain(|user| !change.offline.contains(user));
    online.extend(change.online);
    online
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERE: Instance = Instance(1);

    proptest! {
        /// Reports get lost and come late, and what a teller believes of its listener is older
        /// than it thinks; a report that does arrive in its turn is enough.
        #[test]
        fn a_listener_ends_with_the_tellers_set_whatever_was_lost(
            changes in prop::collection::vec((0..8_u8, any::<bool>(), 0..4_u8), 0..60),
        ) {
            let (mut teller, mut listener) = (OwnPresence::default(), PeerPresence::default());
            let mut believed = None;
            for (user, is_coming, fate) in changes {
                if is_coming {
                    teller.change([online(user)], []);
                } else {
                    teller.change([], [online(user)]);
                }
                if fate > 0 {
                    listener.absorb(HERE, teller.report(HERE, believed, None));
                }
                if fate > 1 {
                    believed = listener.held();
                }
            }

            listener.absorb(HERE, teller.report(HERE, listener.held(), None));

            prop_assert_eq!(&**listener.online(), &teller.online);
            prop_assert_eq!(listener.held().map(|held| held.version), Some(teller.version()));
        }
    }

    #[test]
    fn only_a_change_is_told_to_a_listener_that_follows() {
        let mut teller = OwnPresence::default();
        teller.change([online(1), online(2)], []);
        let held = Some(Held {
            instance: HERE,
            version: 1,
        });
        assert!(!teller.change([online(1)], []), "already there");
        assert_eq!(teller.report(HERE, held, None).change, None);

        teller.change([online(3)], [online(1)]);

        let report = teller.report(HERE, held, None);
        assert_eq!(report.full, None);
        let change = report.change.unwrap();
        assert_eq!(change.online, BTreeSet::from([online(3)]));
        assert_eq!(change.offline, BTreeSet::from([online(1)]));
    }

    #[test]
    fn everything_is_told_to_a_listener_that_holds_another_process_or_too_old_a_version() {
        let mut teller = OwnPresence::default();
        for _ in 0..REMEMBERED_CHANGES {
            teller.change([online(1)], []);
            teller.change([], [online(1)]);
        }
        let held = |instance, version| Some(Held { instance, version });

        assert!(teller.report(HERE, held(HERE, 1), None).full.is_some());
        let version = teller.version();
        let other = held(Instance(2), version);
        assert!(teller.report(HERE, other, None).full.is_some());
        let report = teller.report(HERE, held(HERE, version - 1), None);
        assert!(report.full.is_none() && report.change.is_some());
    }

    #[test]
    fn a_change_that_starts_later_than_what_is_held_is_left() {
        let mut listener = PeerPresence::default();
        let full = Report {
            version: 1,
            full: Some(BTreeSet::new()),
            ..Report::default()
        };
        listener.absorb(HERE, full);
        let report = Report {
            version: 3,
            change: Some(Change {
                since: 2,
                online: BTreeSet::from([online(1)]),
                offline: BTreeSet::new(),
            }),
            ..Report::default()
        };

        assert!(!listener.absorb(HERE, report));

        let held = listener.held().map(|held| held.version);
        assert_eq!(held, Some(1), "so the teller will send what came before");
    }

    fn online(user: u8) -> Online {
        Online {
            group: "lobby".into(),
            id: UserId(user.to_string()),
            name: user.to_string(),
        }
    }
}
