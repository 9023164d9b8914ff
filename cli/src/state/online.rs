//! Pure: who is online in the group, folded from the snapshot and the stream's frames.
//!
//! The server names the users of a small group and counts those of a large one. A stream starts
//! with nobody; so does the first frame with names after one without.

use std::collections::BTreeMap;

use causeway_client::{Presence, Snapshot, User};

/// Who is online, as far as the server names them.
#[derive(Debug)]
pub struct Online {
    /// By id; `None` while there are too many to name.
    names: Option<BTreeMap<String, User>>,
    /// Whether the next frame with names lists everybody.
    starts_anew: bool,
}

impl Default for Online {
    fn default() -> Self {
        Self {
            names: Some(BTreeMap::new()),
            starts_anew: true,
        }
    }
}

/// What a frame changes for the user.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// These came and went.
    Named(Presence),
    /// There are now too many to name.
    Crowd(u64),
    /// Only the number of a crowd.
    Nothing,
}

impl Online {
    /// Records a snapshot of the group.
    pub fn show(&mut self, snapshot: &Snapshot) {
        let is_complete = snapshot.online.len() as u64 == snapshot.online_count;
        self.names = is_complete.then(|| by_id(&snapshot.online).collect());
        self.starts_anew = true;
    }

    /// Records that a new stream begins.
    pub fn begin_stream(&mut self) {
        self.starts_anew = true;
    }

    /// Records a frame. Returns what is new to the user.
    pub fn fold(&mut self, frame: &Presence) -> Change {
        let was_named = self.names.is_some();
        if frame.online.is_empty() && frame.offline.is_empty() && frame.count > 0 {
            self.names = None;
            self.starts_anew = true;
            return if was_named {
                Change::Crowd(frame.count)
            } else {
                Change::Nothing
            };
        }
        let former = self.names.take().unwrap_or_default();
        let mut names = if self.starts_anew {
            BTreeMap::new()
        } else {
            former.clone()
        };
        self.starts_anew = false;
        for user in &frame.offline {
            names.remove(&user.id);
        }
        names.extend(by_id(&frame.online));
        let came = names.iter().filter(|(id, _)| !former.contains_key(*id));
        let online = came.map(|(_, user)| user.clone()).collect();
        let mut went: BTreeMap<String, User> = by_id(&frame.offline).collect();
        let missing = former.into_iter().filter(|(id, _)| !names.contains_key(id));
        went.extend(missing);
        self.names = Some(names);
        Change::Named(Presence {
            online,
            offline: went.into_values().collect(),
            count: frame.count,
        })
    }
}

fn by_id(users: &[User]) -> impl Iterator<Item = (String, User)> {
    users.iter().map(|user| (user.id.clone(), user.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_frame_of_a_stream_shows_only_what_has_changed_meanwhile() {
        let mut online = Online::default();
        online.fold(&frame(&["ann", "bob"], &[], 2));

        online.begin_stream();

        let change = online.fold(&frame(&["bob", "joe"], &[], 2));
        assert_eq!(change, named(&["joe"], &["ann"], 2));
        let change = online.fold(&frame(&[], &["joe"], 1));
        assert_eq!(change, named(&[], &["joe"], 1));
    }

    #[test]
    fn a_crowd_is_announced_once_and_names_return_after_it() {
        let mut online = Online::default();
        online.fold(&frame(&["ann"], &[], 1));

        assert_eq!(online.fold(&frame(&[], &[], 150)), Change::Crowd(150));
        assert_eq!(online.fold(&frame(&[], &[], 170)), Change::Nothing);
        let change = online.fold(&frame(&["bob", "joe"], &[], 2));
        assert_eq!(change, named(&["bob", "joe"], &[], 2));
        let change = online.fold(&frame(&["ann"], &[], 3));
        assert_eq!(change, named(&["ann"], &[], 3));
    }

    fn named(online: &[&str], offline: &[&str], count: u64) -> Change {
        Change::Named(frame(online, offline, count))
    }

    fn frame(online: &[&str], offline: &[&str], count: u64) -> Presence {
        let users = |names: &[&str]| names.iter().map(|name| user(name)).collect();
        Presence {
            online: users(online),
            offline: users(offline),
            count,
        }
    }

    fn user(name: &str) -> User {
        User {
            id: name.to_owned(),
            name: name.to_owned(),
        }
    }
}
