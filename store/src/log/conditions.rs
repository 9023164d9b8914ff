//! What the rest of the server says that concerns the pace of the writer: written by anybody, read
//! by the writer before each step.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use causeway_domain::marks::Marks;
use causeway_domain::writing::machine::{Backlog, Conditions, Gate};

/// Stands for [`Backlog::First`].
const FIRST: u32 = u32::MAX;
/// Precision of the read model's lag.
const APART_MS: u64 = 20;

#[derive(Debug)]
pub(crate) struct SharedConditions {
    begun: Instant,
    max_lag_ms: u64,
    backlog: AtomicU32,
    peers_lag_ms: AtomicU64,
    read_model: Mutex<ReadModel>,
}

/// The offsets of the log that the read model does not show yet.
#[derive(Debug)]
struct ReadModel {
    committed: Marks,
    gate: Gate,
}

impl SharedConditions {
    pub fn new(max_lag_ms: u64) -> Self {
        Self {
            begun: Instant::now(),
            max_lag_ms,
            backlog: AtomicU32::new(0),
            peers_lag_ms: AtomicU64::new(0),
            read_model: Mutex::new(ReadModel {
                committed: Marks::apart(APART_MS),
                gate: Gate::default(),
            }),
        }
    }

    pub fn max_lag_ms(&self) -> u64 {
        self.max_lag_ms
    }

    pub fn set_backlog(&self, backlog: Backlog) {
        let number = match backlog {
            Backlog::AtLeast(per_s) => per_s.min(FIRST - 1),
            Backlog::First => FIRST,
        };
        self.backlog.store(number, Ordering::Relaxed);
    }

    pub fn set_peers_lag(&self, ms: u64) {
        self.peers_lag_ms.store(ms, Ordering::Relaxed);
    }

    /// The log holds all events up to this offset.
    pub fn committed(&self, offset: i64) {
        let now_ms = self.now_ms();
        self.read_model().committed.reach(now_ms, number(offset));
    }

    /// The read model shows all events up to this offset.
    pub fn shown(&self, offset: i64) {
        self.read_model().committed.confirm(number(offset));
    }

    /// For how long the oldest event waits that the read model does not show, in milliseconds.
    pub fn read_lag_ms(&self) -> u64 {
        let now_ms = self.now_ms();
        let oldest = self.read_model().committed.oldest(now_ms);
        oldest.map_or(0, |(_, age_ms)| age_ms)
    }

    pub fn read(&self) -> Conditions {
        let backlog = match self.backlog.load(Ordering::Relaxed) {
            FIRST => Backlog::First,
            per_s => Backlog::AtLeast(per_s),
        };
        let (now_ms, here_ms) = (self.now_ms(), self.read_lag_ms());
        let here_ms = self
            .read_model()
            .gate
            .pass(now_ms, here_ms, self.max_lag_ms);
        let lag_ms = here_ms.max(self.peers_lag_ms.load(Ordering::Relaxed));
        Conditions {
            backlog,
            lag: Duration::from_millis(lag_ms),
            max_lag: Duration::from_millis(self.max_lag_ms),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn read_model(&self) -> MutexGuard<'_, ReadModel> {
        self.read_model
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn number(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or(0)
}
