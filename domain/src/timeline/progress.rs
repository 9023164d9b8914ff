//! How far one reader of a group has come: what was given here and elsewhere, and what of it was
//! known where the reader was told last.
//!
//! A cursor is a vector, not a place in a log, so it is valid on every replica. Knows nothing of
//! frames, channels or tables: whoever reads the table tells what was found there.

use std::sync::Arc;

use crate::hlc::Hlc;
use crate::rule::{self, Rule};
use crate::version_vector::VersionVector;

use super::{Entry, Kind, Reached};

/// How far the read model has followed the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last event folded in, by its place in this log.
    pub arrival: i64,
    /// All that is folded in.
    pub vector: VersionVector,
    /// The highest clock reading of it.
    pub highest: Hlc,
}

/// What a cursor says of a reader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// All events that the reader was given or spared.
    pub given: VersionVector,
    /// Those of them that were known where the reader was told last, when that was not all.
    pub weighed: Option<VersionVector>,
    /// The highest clock reading among them.
    pub highest: Hlc,
}

/// One reader's progress through the feed of a replica.
#[derive(Clone, Debug)]
pub struct Progress {
    at: i64,
    given: Arc<VersionVector>,
    weighed: Arc<VersionVector>,
    highest: Hlc,
    is_ahead: bool,
    /// What was given before this replica: as far as it was not known wherever the reader was told
    /// since, it is owed to be weighed by a replica that knows all of it.
    owed: Arc<VersionVector>,
}

/// Whether a reader stands where the read model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Arrival {
    /// Everything was told.
    Done,
    /// The last that was missing here of what was given elsewhere has come: what was told until
    /// now without it must be looked at once more, from the first that [`Progress::weighed`] lacks.
    LookAgain,
}

impl Progress {
    /// Begins with what comes after a checkpoint.
    pub fn after(held: &Checkpoint) -> Self {
        let given = Arc::new(held.vector.clone());
        Self {
            at: held.arrival,
            weighed: given.clone(),
            owed: given.clone(),
            given,
            highest: held.highest,
            is_ahead: false,
        }
    }

    /// Goes on where a cursor stands, which may be another replica's. The entries to look at begin
    /// with the first that [`Progress::weighed`] lacks: see [`Progress::look_from`].
    pub fn resume(held: &Checkpoint, place: Place) -> Self {
        let given = Arc::new(place.given);
        Self {
            at: held.arrival,
            is_ahead: !held.vector.covers_all(&given),
            weighed: place.weighed.map_or_else(|| given.clone(), Arc::new),
            owed: given.clone(),
            given,
            highest: place.highest,
        }
    }

    /// What the cursor after all that was given says.
    pub fn place(&self) -> Place {
        let is_weighed = self.weighed == self.given;
        Place {
            given: (*self.given).clone(),
            weighed: (!is_weighed).then(|| (*self.weighed).clone()),
            highest: self.highest,
        }
    }

    /// All entries up to this arrival were looked at.
    pub fn at(&self) -> i64 {
        self.at
    }

    /// All events that the reader was given or spared.
    pub fn given(&self) -> &VersionVector {
        &self.given
    }

    /// What of them was known where the reader was told last.
    pub fn weighed(&self) -> &VersionVector {
        &self.weighed
    }

    /// The reader was given more elsewhere than this replica holds: what it is told is its own, and
    /// comes from the table.
    pub fn is_ahead(&self) -> bool {
        self.is_ahead
    }

    /// What entries are weighed against.
    pub fn reached(&self) -> Reached<'_> {
        Reached {
            given: &self.given,
            weighed: &self.weighed,
            is_ahead: self.is_ahead,
        }
    }

    /// The next entry to look at is the first after this arrival.
    pub fn look_from(&mut self, arrival: i64) {
        self.at = arrival;
    }

    /// Some entries of the table are looked at next, where this much is folded in. What was given
    /// elsewhere and is not known here has no say in what is told, so it is weighed again when it
    /// comes.
    pub fn weigh(&mut self, held: &Checkpoint) {
        if !held.vector.covers_all(&self.weighed) {
            self.weighed = Arc::new(self.weighed.common(&held.vector));
        }
    }

    /// Takes in one entry of the table, in order of arrival; says as what the reader must be told
    /// of it, if at all. `rivals` as in [`Entry::told`].
    pub fn tell(&mut self, entry: &Entry, rivals: &[Entry]) -> Option<Kind> {
        let told = entry.told(rivals, &self.reached());
        let position = entry.entry.position;
        let told =
            told.filter(|_| position.hlc > self.highest || rule::holds(Rule::CursorIsVector));
        Arc::make_mut(&mut self.given).record(position.dot());
        self.highest = self.highest.max(position.hlc);
        told
    }

    /// All entries of the group up to a checkpoint were looked at; what else it covers is spared.
    pub fn arrive(&mut self, held: &Checkpoint) -> Arrival {
        let was_ahead = self.is_ahead;
        self.at = held.arrival;
        Arc::make_mut(&mut self.given).merge(&held.vector);
        self.highest = self.highest.max(held.highest);
        self.is_ahead = *self.given != held.vector;
        if self.is_ahead {
            self.weighed = Arc::new(self.weighed_beside_debts(held));
            return Arrival::Done;
        }
        if was_ahead && self.weighed != self.given {
            return Arrival::LookAgain;
        }
        self.weighed = self.given.clone();
        Arrival::Done
    }

    /// What this replica knows is weighed, but for origins of which something that was given
    /// elsewhere was unknown to some replica since: those wait for one that knows all.
    fn weighed_beside_debts(&self, held: &Checkpoint) -> VersionVector {
        let weighed = held.vector.iter().map(|(origin, seq)| {
            let weighed = self.weighed.get(origin);
            let is_owed = weighed < self.owed.get(origin);
            (origin, if is_owed { weighed } else { seq })
        });
        weighed.filter(|(_, seq)| *seq > 0).collect()
    }

    /// Takes in what all readers are told alike: everything shown up to an arrival, where `vector`
    /// was held. Only for readers that are not ahead.
    pub fn share(&mut self, up_to: i64, vector: &Arc<VersionVector>, highest: Hlc) {
        self.given = vector.clone();
        self.weighed = vector.clone();
        self.highest = self.highest.max(highest);
        self.at = up_to;
    }
}
