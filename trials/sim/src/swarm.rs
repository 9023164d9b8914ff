//! Swarm testing: each run has a random subset of the faults. Runs with few faults reach states
//! that runs with all faults do not.

use causeway_replicator_core::wire::events::BATCH_EVENTS;

use crate::rng::Rng;

/// The faults of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one switch")]
pub struct Swarm {
    /// Cuts of all shapes.
    pub cuts: bool,
    /// Loss, repetition, delay, stalls.
    pub weather: bool,
    /// One replica answers slowly.
    pub slow: bool,
    /// Crashes at every step, and orderly stops.
    pub crashes: bool,
    /// Paused processes.
    pub pauses: bool,
    /// Wall clocks that jump.
    pub clocks: bool,
    /// Disks lost as a whole.
    pub wipes: bool,
    /// Databases restored from a dump.
    pub restores: bool,
    /// Database and file restored together.
    pub rollbacks: bool,
    /// A second process with the same replica number, on a copy of the disk.
    pub clones: bool,
    /// One in this many statements fails; 0 for none.
    pub failing_statements: u64,
    /// Databases that are unreachable for a while.
    pub outages: bool,
    /// Disks that are full for a while.
    pub full_disks: bool,
    /// Files beside the database that cannot be written for a while.
    pub stuck_files: bool,
    /// Events of unknown types, with unreadable content, or refused by a store.
    pub poison: bool,
    /// Replicas with different ranges of protocol versions.
    pub versions: bool,
    /// At the end, only a tree of one-way links works.
    pub ends_as_tree: bool,
    /// Long pauses between writes.
    pub is_quiet: bool,
    /// The maximum number of events in the answer to a pull.
    pub batch: usize,
}

impl Swarm {
    /// No faults at all.
    pub const NONE: Self = Self {
        cuts: false,
        weather: false,
        slow: false,
        crashes: false,
        pauses: false,
        clocks: false,
        wipes: false,
        restores: false,
        rollbacks: false,
        clones: false,
        failing_statements: 0,
        outages: false,
        full_disks: false,
        stuck_files: false,
        poison: false,
        versions: false,
        ends_as_tree: false,
        is_quiet: false,
        batch: BATCH_EVENTS,
    };

    pub(crate) fn any(rng: &mut Rng) -> Self {
        let first = rng.next();
        // Not combined with a tree of links, which may connect only replicas without a common
        // version.
        let versions = first % 1_000 < 150;
        // Runs are short, so some use small batches. Other bits of the same draw decide.
        let batch = match (first >> 32) % 8 {
            0 => 2,
            1 => 4,
            2 => 10,
            _ => BATCH_EVENTS,
        };
        Self {
            cuts: rng.permille(600),
            weather: rng.permille(500),
            slow: rng.permille(150),
            crashes: rng.permille(450),
            pauses: rng.permille(250),
            clocks: rng.permille(350),
            wipes: rng.permille(120),
            restores: rng.permille(150),
            rollbacks: rng.permille(120),
            clones: rng.permille(150),
            failing_statements: rng.pick(&[0, 0, 0, 3, 10, 30]),
            outages: rng.permille(150),
            full_disks: rng.permille(120),
            stuck_files: rng.permille(150),
            poison: rng.permille(200),
            versions,
            ends_as_tree: !versions && rng.permille(150),
            is_quiet: rng.permille(250),
            batch,
        }
    }

    /// Whether an origin may fork.
    pub fn can_fork(&self) -> bool {
        self.rollbacks || self.clones
    }

    /// Whether a replica may lose its database or its file.
    pub fn loses_state(&self) -> bool {
        self.wipes || self.restores || self.can_fork()
    }
}
