//! A push that a peer sent, until it is answered.

use std::mem;

use causeway_domain::ids::ReplicaId;
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::Absorbed;

use crate::now::Now;
use crate::storing::{Storing, lasting};

/// How long a push waits for events that must come first and are probably under way from another
/// peer.
const EARLY_PATIENCE_MS: u64 = 250;

#[derive(Debug)]
pub(crate) struct InboundPush {
    pub from: ReplicaId,
    /// What the log made of its events so far.
    pub absorbed: Absorbed,
    state: State,
    until_ms: u64,
}

#[derive(Debug)]
enum State {
    /// The log is storing its events.
    Storing,
    /// These events wait for their past.
    Waiting(Storing),
    /// All is stored that can be.
    Stored,
}

impl InboundPush {
    pub fn new(now: Now, from: ReplicaId) -> Self {
        Self {
            from,
            absorbed: Absorbed::default(),
            state: State::Storing,
            until_ms: now.ms + EARLY_PATIENCE_MS,
        }
    }

    /// Takes in what the log made of the events; what it does not hold waits for its past.
    pub fn stored(&mut self, mut storing: Storing, held: &VersionVector) {
        let orphaned = mem::take(&mut storing.orphaned);
        let (absorbed, mut events) = storing.into_absorbed();
        events.retain(|event| !held.covers(event.envelope.stamp.dot()));
        self.absorbed = lasting(mem::take(&mut self.absorbed)).and(absorbed);
        self.state = if events.is_empty() || self.absorbed.missing.is_empty() {
            State::Stored
        } else {
            State::Waiting(Storing::new(events, orphaned))
        };
    }

    /// Takes what waits, where its past has come by now.
    pub fn take_ready(&mut self, held: &VersionVector) -> Option<Storing> {
        let mut missing = self.absorbed.missing.iter();
        let has_come = missing.all(|range| range.last <= held.get(range.origin));
        if !has_come || !matches!(self.state, State::Waiting(_)) {
            return None;
        }
        match mem::replace(&mut self.state, State::Storing) {
            State::Waiting(storing) => Some(storing),
            State::Storing | State::Stored => None,
        }
    }

    /// Tells whether it is to be answered: nothing of it waits, or for too long.
    pub fn is_over(&self, now: Now) -> bool {
        match self.state {
            State::Storing => false,
            State::Waiting(_) => self.until_ms <= now.ms,
            State::Stored => true,
        }
    }

    /// When it is answered though its past has not come.
    pub fn deadline_ms(&self) -> Option<u64> {
        matches!(self.state, State::Waiting(_)).then_some(self.until_ms)
    }
}
