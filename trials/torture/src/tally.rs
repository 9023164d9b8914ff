//! Counts of what happened, for the progress line and the summary.

use std::collections::BTreeMap;

use crate::history::{Event, Outcome};

/// The counts.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How often each fault was made.
    pub faults: BTreeMap<&'static str, u64>,
    /// Faults this machine cannot make, and why.
    pub skipped: BTreeMap<&'static str, String>,
    /// Writes that were answered as done.
    pub done: u64,
    /// Writes that were refused.
    pub refused: u64,
    /// Writes of which nobody knows.
    pub unknown: u64,
    /// Attempts to post, those at other replicas included.
    pub tries: u64,
    /// Frames that readers were given.
    pub frames: u64,
    /// Promises seen broken.
    pub broken: u64,
    /// What goes on.
    pub phase: String,
    /// How long each healing took.
    pub converged_ms: Vec<u64>,
}

impl Tally {
    /// Counts one event.
    pub fn count(&mut self, event: &Event) {
        match event {
            Event::Phase { name } => self.phase.clone_from(name),
            Event::Fault { fault, .. } => *self.faults.entry(fault).or_default() += 1,
            Event::Over {
                fault,
                skipped: Some(why),
            } => {
                self.skipped.insert(fault, why.clone());
            }
            Event::Tried { .. } => self.tries += 1,
            Event::PostEnded { outcome, .. } | Event::Standing { outcome, .. } => match outcome {
                Outcome::Done => self.done += 1,
                Outcome::Refused => self.refused += 1,
                Outcome::Unknown => self.unknown += 1,
            },
            Event::Frame { .. } => self.frames += 1,
            Event::Broken { .. } => self.broken += 1,
            Event::Converged { after_ms } => self.converged_ms.push(*after_ms),
            Event::Over { .. }
            | Event::Destroyed { .. }
            | Event::Posted { .. }
            | Event::Held { .. }
            | Event::Settled { .. }
            | Event::ReaderBegan { .. }
            | Event::ReaderEnded { .. } => {}
        }
    }

    /// The line that shows that it goes on.
    pub fn line(&self) -> String {
        let faults: u64 = self.faults.values().sum();
        format!(
            "{}: {faults} faults, {} writes done, {} refused, {} unknown, {} frames read, {} promises broken",
            self.phase, self.done, self.refused, self.unknown, self.frames, self.broken
        )
    }
}
