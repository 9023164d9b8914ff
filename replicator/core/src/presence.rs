//! Who is online where. Each replica reports its own users, nobody relays another's.
//!
//! A set has a version, which counts its changes. A report carries the changes since the version
//! that the listener holds, in the order in which they happened and a bounded number at a time, so
//! telling costs what has changed, and a digest stays small whatever the size of the set. Kept in
//! memory only: a peer that goes down takes its users offline.

mod elsewhere;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use causeway_domain::names::UserId;
use serde::{Deserialize, Serialize};

use crate::instance::Instance;

pub use elsewhere::{Elsewhere, OnlineChanges};

/// Minimum number of departures remembered for peers that lag; otherwise as many as there are users
/// online. A listener that lags further gets the set anew, which costs no more than what was
/// forgotten.
const REMEMBERED: usize = 4_096;
/// Maximum size of the users of one report, as JSON. The rest follows with the next digests.
const REPORT_BYTES: usize = 256 * 1024;
/// What JSON adds to the three texts of a user.
const JSON_BYTES: usize = 32;

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

impl Online {
    fn bytes(&self) -> usize {
        self.group.len() + self.id.0.len() + self.name.len() + JSON_BYTES
    }
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
    /// The version up to which this report tells. The speaker's set may be further.
    pub version: u64,
    /// What the speaker holds of the listener's set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// The way from an older version to `version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// The set at `version`, without those whose state has changed since: later reports tell of
    /// them. Replaces what the listener holds.
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
    /// The version at which each user known here last came or went.
    changed: BTreeMap<Arc<Online>, u64>,
    /// Who is online, by that version.
    online: BTreeMap<u64, Arc<Online>>,
    /// Who went, by that version.
    offline: BTreeMap<u64, Arc<Online>>,
    /// The version of the newest departure that is no longer remembered.
    forgotten: u64,
}

impl OwnPresence {
    /// Records who came and who went. Returns whether that changed anything.
    pub fn change(
        &mut self,
        came: impl IntoIterator<Item = Online>,
        went: impl IntoIterator<Item = Online>,
    ) -> bool {
        let before = self.version;
        for user in went {
            if let Some((user, at)) = self.changed.remove_entry(&user) {
                if self.online.remove(&at).is_some() {
                    self.version += 1;
                    self.offline.insert(self.version, Arc::clone(&user));
                    self.changed.insert(user, self.version);
                } else {
                    self.changed.insert(user, at);
                }
            }
        }
        for user in came {
            let former = self.changed.get_key_value(&user);
            let former = former.map(|(user, &at)| (Arc::clone(user), at));
            if let Some((_, at)) = former
                && self.online.contains_key(&at)
            {
                continue;
            }
            let user = former.map_or_else(|| Arc::new(user), |(user, _)| user);
            self.version += 1;
            self.online.insert(self.version, Arc::clone(&user));
            if let Some(former) = self.changed.insert(user, self.version) {
                self.offline.remove(&former);
            }
        }
        self.forget_old_departures();
        self.version != before
    }

    fn forget_old_departures(&mut self) {
        while self.offline.len() > REMEMBERED.max(self.online.len()) {
            if let Some((at, user)) = self.offline.pop_first() {
                self.changed.remove(&user);
                self.forgotten = at;
            }
        }
    }

    /// The version of the set.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Makes the report for a listener, given what the listener is known to hold of this set.
    pub fn report(&self, instance: Instance, listener: Option<Held>, held: Option<Held>) -> Report {
        let listener = listener.filter(|held| held.instance == instance);
        let listener = listener.map(|held| held.version);
        let known = listener.filter(|&version| (self.forgotten..=self.version).contains(&version));
        let mut report = Report {
            version: self.version,
            held,
            ..Report::default()
        };
        let Some(since) = known else {
            let nobody = BTreeMap::new();
            let (upto, full, _) = self.page(&self.online, &nobody, 0);
            report.version = upto;
            report.full = Some(full);
            return report;
        };
        if since < self.version {
            let (upto, online, offline) = self.page(&self.online, &self.offline, since);
            report.version = upto;
            report.change = Some(Change {
                since,
                online,
                offline,
            });
        }
        report
    }

    /// Returns the first changes after `since` that fit a report, and the version that they lead to.
    fn page(
        &self,
        online: &BTreeMap<u64, Arc<Online>>,
        offline: &BTreeMap<u64, Arc<Online>>,
        since: u64,
    ) -> (u64, BTreeSet<Online>, BTreeSet<Online>) {
        let mut online = online.range(since + 1..).peekable();
        let mut offline = offline.range(since + 1..).peekable();
        let (mut came, mut went) = (BTreeSet::new(), BTreeSet::new());
        let (mut upto, mut bytes) = (since, 0);
        loop {
            let came_first = match (online.peek(), offline.peek()) {
                (None, None) => return (self.version, came, went),
                (Some((came_at, _)), Some((went_at, _))) => came_at < went_at,
                (came, _) => came.is_some(),
            };
            let next = if came_first {
                online.next()
            } else {
                offline.next()
            };
            let Some((&at, user)) = next else {
                return (self.version, came, went);
            };
            bytes += user.bytes();
            if bytes > REPORT_BYTES && upto > since {
                return (upto, came, went);
            }
            upto = at;
            let side = if came_first { &mut came } else { &mut went };
            side.insert(Online::clone(user));
        }
    }
}

/// What is held of a peer's set.
#[derive(Debug, Default)]
pub struct PeerPresence {
    held: Option<Held>,
    online: BTreeSet<Online>,
    /// What changed since the last call of [`PeerPresence::take_changes`], in order.
    changes: Vec<(Online, bool)>,
}

impl PeerPresence {
    /// Applies a report of the peer's process `instance`. Returns whether the set changed. A report
    /// that does not fit is ignored, and `held` tells the peer so.
    ///
    /// Reports are given in the order in which they were made: digests are numbered.
    pub fn absorb(&mut self, instance: Instance, report: Report) -> bool {
        let held = self.held.filter(|held| held.instance == instance);
        let held = held.map(|held| held.version);
        if held == Some(report.version) {
            return false;
        }
        let before = self.changes.len();
        match (report.full, report.change, held) {
            (Some(full), ..) => self.replace(full),
            (None, Some(change), Some(held)) if change.since <= held && held < report.version => {
                self.apply(change);
            }
            _ => return false,
        }
        self.held = Some(Held {
            instance,
            version: report.version,
        });
        self.changes.len() > before
    }

    fn replace(&mut self, full: BTreeSet<Online>) {
        let former = mem::take(&mut self.online);
        let went = former.difference(&full).map(|user| (user.clone(), false));
        self.changes.extend(went);
        let came = full.difference(&former).map(|user| (user.clone(), true));
        self.changes.extend(came);
        self.online = full;
    }

    fn apply(&mut self, change: Change) {
        for user in change.offline {
            if self.online.remove(&user) {
                self.changes.push((user, false));
            }
        }
        for user in change.online {
            if self.online.insert(user.clone()) {
                self.changes.push((user, true));
            }
        }
    }

    /// Forgets everything: the peer is down, or another process.
    pub fn clear(&mut self) {
        self.held = None;
        self.replace(BTreeSet::new());
    }

    /// The version held.
    pub fn held(&self) -> Option<Held> {
        self.held
    }

    /// Who is online there.
    pub fn online(&self) -> &BTreeSet<Online> {
        &self.online
    }

    /// Returns what changed since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<(Online, bool)> {
        mem::take(&mut self.changes)
    }
}
