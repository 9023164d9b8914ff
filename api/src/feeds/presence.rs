//! Who is online in one group, and what its readers were told of it. Pure: the hub says when.
//!
//! Up to [`MAX_NAMED`] users are told by name, beyond it only their number. A reader starts with
//! nobody and folds the frames:
//!
//! * a frame that names somebody: remove `offline`, add `online`; after a frame without names start
//!   from nobody again;
//! * a frame that names nobody: only `count` is known.
//!
//! The first frame of a stream, and the first one with names after one without, therefore lists
//! everybody in `online`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use causeway_domain::names::UserId;

use crate::bodies::UserBody;

use super::shapes::PresenceBody;

/// Maximum number of users online that are told by name.
pub const MAX_NAMED: usize = 100;
/// Interval of frames with a count, for each reader that they are sent to: telling a crowd of any
/// size takes the same small share of a core.
const INTERVAL_EACH: Duration = Duration::from_micros(250);
const MIN_INTERVAL: Duration = Duration::from_secs(1);
const MAX_INTERVAL: Duration = Duration::from_secs(5);

/// Who is online in one group.
#[derive(Debug, Default)]
pub(super) struct Presence {
    online: BTreeMap<UserId, String>,
    by_name: BTreeSet<(String, UserId)>,
    told: Told,
}

/// What somebody knows who has folded all frames.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Names(BTreeMap<UserId, String>),
    Count(usize),
}

impl Default for Told {
    fn default() -> Self {
        Self::Names(BTreeMap::new())
    }
}

impl Presence {
    /// Sets the name of a user who is online; `None` for one who is not.
    pub fn set(&mut self, user: &UserId, name: Option<String>) {
        let former = match name.clone() {
            Some(name) => self.online.insert(user.clone(), name),
            None => self.online.remove(user),
        };
        if former == name {
            return;
        }
        if let Some(former) = former {
            self.by_name.remove(&(former, user.clone()));
        }
        self.by_name.extend(name.map(|name| (name, user.clone())));
    }

    pub fn contains(&self, user: &UserId) -> bool {
        self.online.contains_key(user)
    }

    pub fn count(&self) -> usize {
        self.online.len()
    }

    /// The first users by name.
    pub fn first(&self) -> Vec<UserBody> {
        let first = self.by_name.iter().take(MAX_NAMED);
        first.map(|(name, id)| body(id, name)).collect()
    }

    /// How long after the last frame the next one may follow; zero while everybody is named.
    pub fn interval(&self) -> Duration {
        let Told::Count(told) = self.told else {
            return Duration::ZERO;
        };
        let readers = u32::try_from(told.max(self.count())).unwrap_or(u32::MAX);
        let interval = INTERVAL_EACH.saturating_mul(readers);
        interval.clamp(MIN_INTERVAL, MAX_INTERVAL)
    }

    /// Whether the readers were told what is true.
    pub fn is_told(&self) -> bool {
        match &self.told {
            Told::Names(told) => *told == self.online,
            Told::Count(told) => *told == self.count() && *told > MAX_NAMED,
        }
    }

    /// Returns what to tell all readers now, if anything has changed for them.
    pub fn tell(&mut self) -> Option<PresenceBody> {
        if self.is_told() {
            return None;
        }
        let count = self.count();
        if count > MAX_NAMED {
            self.told = Told::Count(count);
            return Some(counted(count));
        }
        let told = std::mem::replace(&mut self.told, Told::Names(self.online.clone()));
        let told = match told {
            Told::Names(names) => names,
            Told::Count(_) => BTreeMap::new(),
        };
        let came = |(name, id): &&(String, UserId)| told.get(id) != Some(name);
        let went = |(id, _): &(&UserId, &String)| !self.online.contains_key(id);
        Some(PresenceBody {
            online: self
                .by_name
                .iter()
                .filter(came)
                .map(|(name, id)| body(id, name))
                .collect(),
            offline: told
                .iter()
                .filter(went)
                .map(|(id, name)| body(id, name))
                .collect(),
            count,
        })
    }

    /// Returns the first frame of a reader that starts now: what the others were told. `None` if
    /// that is nobody.
    pub fn introduction(&self) -> Option<PresenceBody> {
        match &self.told {
            Told::Count(count) => Some(counted(*count)),
            Told::Names(names) if names.is_empty() => None,
            Told::Names(names) => Some(PresenceBody {
                online: names.iter().map(|(id, name)| body(id, name)).collect(),
                offline: Vec::new(),
                count: names.len(),
            }),
        }
    }
}

fn counted(count: usize) -> PresenceBody {
    PresenceBody {
        online: Vec::new(),
        offline: Vec::new(),
        count,
    }
}

fn body(id: &UserId, name: &str) -> UserBody {
    UserBody {
        id: id.0.clone(),
        name: name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A reader as the document of the API describes it.
    #[derive(Default)]
    struct Folded {
        names: BTreeSet<String>,
        count: usize,
        is_counted: bool,
    }

    impl Folded {
        fn fold(&mut self, frame: &PresenceBody) {
            let is_counted = frame.online.is_empty() && frame.offline.is_empty();
            if is_counted || self.is_counted {
                self.names.clear();
            }
            for user in &frame.offline {
                self.names.remove(&user.name);
            }
            self.names
                .extend(frame.online.iter().map(|user| user.name.clone()));
            self.is_counted = is_counted && frame.count > 0;
            self.count = frame.count;
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// Some users come or go, from this one on.
        Set(u8, u8, bool),
        /// A reader opens a stream.
        Open,
        /// The readers are told.
        Tell,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..120_u8, 1..90_u8, any::<bool>()).prop_map(|(from, n, is)| Step::Set(from, n, is)),
            1 => Just(Step::Open),
            4 => Just(Step::Tell),
        ];
        prop::collection::vec(step, 0..40)
    }

    proptest! {
        #[test]
        fn whoever_folds_the_frames_from_any_moment_on_knows_who_is_online(steps in steps()) {
            let mut presence = Presence::default();
            let mut truth = BTreeSet::new();
            let mut readers = vec![Folded::default()];
            for step in steps.into_iter().chain([Step::Open, Step::Tell]) {
                match step {
                    Step::Set(from, users, is_online) => {
                        for user in from..from + users {
                            let name = format!("{user}");
                            presence.set(&UserId(name.clone()), is_online.then(|| name.clone()));
                            if is_online {
                                truth.insert(name);
                            } else {
                                truth.remove(&name);
                            }
                        }
                    }
                    Step::Open => {
                        let mut reader = Folded::default();
                        if let Some(frame) = presence.introduction() {
                            reader.fold(&frame);
                        }
                        readers.push(reader);
                    }
                    Step::Tell => {
                        if let Some(frame) = presence.tell() {
                            let named = frame.online.len() + frame.offline.len();
                            prop_assert!(named <= 2 * MAX_NAMED, "a frame is bounded");
                            for reader in &mut readers {
                                reader.fold(&frame);
                            }
                        }
                        for reader in &readers {
                            prop_assert_eq!(reader.count, truth.len());
                            prop_assert_eq!(reader.is_counted, truth.len() > MAX_NAMED);
                            prop_assert!(reader.is_counted || reader.names == truth);
                        }
                    }
                }
            }
            prop_assert_eq!(presence.first().len(), truth.len().min(MAX_NAMED));
            prop_assert!(presence.is_told() && presence.tell().is_none());
        }
    }

    #[test]
    fn a_crowd_is_told_seldom_and_a_small_group_at_once() {
        let mut presence = Presence::default();
        let mut intervals = Vec::new();
        for users in [1, 100, 101, 10_000, 100_000] {
            for user in presence.count()..users {
                presence.set(&UserId(user.to_string()), Some(user.to_string()));
            }
            presence.tell();
            intervals.push(presence.interval().as_millis());
        }

        assert_eq!(intervals, [0, 0, 1_000, 2_500, 5_000]);
    }
}
