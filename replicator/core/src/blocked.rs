//! Origins that a pull got stuck on, left out of pulls for a while.
//!
//! An event that cannot be stored here holds up its origin, and nobody else: without this a pull
//! whose whole batch is of that origin would ask for the same batch for ever, and what others wrote
//! would wait behind it.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::ids::Origin;
use causeway_domain::version_vector::VersionVector;

/// The first wait, and the longest: a restart or another peer may bring what can be stored.
const FIRST_MS: u64 = 1_000;
const LONGEST_MS: u64 = 60_000;

/// Most origins left out: a peer can name any number.
const MOST: usize = 10_000;

/// Which origins are left out, and until when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blocked(BTreeMap<Origin, Wait>);

#[derive(Clone, Copy, Debug)]
struct Wait {
    held: u64,
    pause_ms: u64,
    until_ms: u64,
}

impl Blocked {
    /// Leaves origins out that a pull brought no further: longer each time. They may have waited for
    /// some that this pull `left_out`. Then they wait as long as those: origins whose events
    /// name each other can only go on together.
    pub fn add(
        &mut self,
        now_ms: u64,
        stuck: &BTreeSet<Origin>,
        left_out: &BTreeSet<Origin>,
        held: &VersionVector,
    ) {
        let others = left_out.iter().filter_map(|origin| self.0.get(origin));
        let others = others.map(|wait| wait.until_ms);
        let with_others_ms = others.filter(|&until_ms| until_ms > now_ms).min();
        let former = stuck.iter().map(|origin| self.pause_ms(*origin)).min();
        let pause_ms = (former.unwrap_or_default() * 2).clamp(FIRST_MS, LONGEST_MS);
        for &origin in stuck {
            let wait = Wait {
                held: held.get(origin),
                pause_ms: with_others_ms.map_or(pause_ms, |_| self.pause_ms(origin)),
                until_ms: with_others_ms.unwrap_or(now_ms + pause_ms),
            };
            self.keep(now_ms, origin, wait);
        }
    }

    fn pause_ms(&self, origin: Origin) -> u64 {
        self.0.get(&origin).map_or(0, |wait| wait.pause_ms)
    }

    fn keep(&mut self, now_ms: u64, origin: Origin, wait: Wait) {
        if self.0.len() >= MOST && !self.0.contains_key(&origin) {
            self.0.retain(|_, wait| wait.until_ms > now_ms);
        }
        if self.0.len() < MOST || self.0.contains_key(&origin) {
            self.0.insert(origin, wait);
        }
    }

    /// Forgets the origins that have gone on.
    pub fn recheck(&mut self, held: &VersionVector) {
        self.0.retain(|&origin, wait| held.get(origin) == wait.held);
    }

    /// The origins left out now.
    pub fn now(&self, now_ms: u64) -> impl Iterator<Item = Origin> + '_ {
        let is_blocked = move |wait: &Wait| wait.until_ms > now_ms;
        let waiting = self.0.iter().filter(move |(_, wait)| is_blocked(wait));
        waiting.map(|(&origin, _)| origin)
    }
}

#[cfg(test)]
mod tests {
    use causeway_domain::ids::{Epoch, ReplicaId};

    use super::*;

    #[test]
    fn a_peer_that_names_origins_without_end_costs_no_more_memory_and_old_ones_make_room() {
        let mut blocked = Blocked::default();
        let held = VersionVector::default();
        for epoch in 0..12_000 {
            blocked.add(0, &[origin(epoch)].into(), &BTreeSet::new(), &held);
        }
        assert_eq!(blocked.0.len(), MOST);

        let later = 2 * LONGEST_MS;
        blocked.add(later, &[origin(12_001)].into(), &BTreeSet::new(), &held);

        assert!(blocked.now(later).eq([origin(12_001)]));
        assert_eq!(blocked.0.len(), 1);
    }

    #[test]
    fn who_is_stuck_again_waits_twice_as_long_and_a_minute_at_most() {
        let (mut blocked, held) = (Blocked::default(), VersionVector::default());
        let (stuck, nobody) = ([origin(1)].into(), BTreeSet::new());
        let mut now_ms = 0;
        let mut waits = Vec::new();
        for _ in 0..8 {
            blocked.add(now_ms, &stuck, &nobody, &held);
            let begun_ms = now_ms;
            while blocked.now(now_ms).next().is_some() {
                now_ms += 500;
            }
            waits.push((now_ms - begun_ms) / 1_000);
        }

        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    fn origin(epoch: u32) -> Origin {
        Origin {
            replica: ReplicaId::new(1).expect("not zero"),
            epoch: Epoch(epoch),
        }
    }
}
