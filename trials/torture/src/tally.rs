//! Counts of events, for the progress line and the summary.

use std::collections::BTreeMap;

use crate::history::{Event, Outcome};

/// The counts.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// The number of injections of each fault.
    pub faults: BTreeMap<&'static str, u64>,
    /// The faults that this machine cannot inject, with the reason.
    pub skipped: BTreeMap<&'static str, String>,
    /// Acknowledged writes.
    pub done: u64,
    /// Refused writes.
    pub refused: u64,
    /// Writes with an unknown outcome.
    pub unknown: u64,
    /// Attempts to post, including retries at other replicas.
    pub tries: u64,
    /// Frames that readers received.
    pub frames: u64,
    /// Violations observed during the run.
    pub broken: u64,
    /// The current phase.
    pub phase: String,
    /// The duration of each convergence.
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

    /// The progress line.
    pub fn line(&self) -> String {
        let faults: u64 = self.faults.values().sum();
        format!(
            "{}: {faults} faults, {} writes done, {} refused, {} unknown, {} frames read, {} promises broken",
            self.phase, self.done, self.refused, self.unknown, self.frames, self.broken
        )
    }
}
