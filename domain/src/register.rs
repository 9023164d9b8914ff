//! The last-writer-wins register: of all values written on any replica, in whatever order they are
//! delivered, it holds the one with the highest order key. Memberships and likes are such
//! registers.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};

use crate::stamp::OrderKey;

/// A value, and the event that wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register<T> {
    /// The event's order key.
    pub since: OrderKey,
    /// The value it wrote.
    pub value: T,
}

impl<T> Register<T> {
    /// Writes a value, unless the register holds one with a higher key. Returns whether it was
    /// written.
    pub fn write(&mut self, since: OrderKey, value: T) -> bool {
        let wins = since >= self.since;
        if wins {
            *self = Self { since, value };
        }
        wins
    }

    /// Writes a value to one of several registers, creating the register with its first value.
    pub fn write_at<K: Ord>(
        registers: &mut BTreeMap<K, Self>,
        key: K,
        since: OrderKey,
        value: T,
    ) -> bool {
        match registers.entry(key) {
            Entry::Occupied(mut register) => register.get_mut().write(since, value),
            Entry::Vacant(entry) => {
                entry.insert(Self { since, value });
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hlc::Hlc;
    use crate::ids::{Epoch, ReplicaId};

    proptest! {
        #[test]
        fn the_order_of_writes_is_irrelevant(keys in writes(), seed: u64) {
            let mut shuffled = keys.clone();
            shuffled.sort_by_key(|key| key.seq.wrapping_mul(seed | 1));

            prop_assert_eq!(written(&keys), written(&shuffled));
        }

        #[test]
        fn a_repeated_write_changes_nothing(keys in writes(), again: prop::sample::Index) {
            let mut twice = keys.clone();
            twice.push(*again.get(&keys));

            prop_assert_eq!(written(&keys), written(&twice));
        }

        #[test]
        fn merging_registers_equals_writing_all_values_to_one(left in writes(), right in writes()) {
            let mut merged = written(&left);
            let other = written(&right);

            merged.write(other.since, other.value);

            prop_assert_eq!(merged, written(&[left, right].concat()));
        }

        #[test]
        fn a_write_is_held_iff_no_higher_one_precedes_it(keys in writes(), last in key()) {
            let mut register = written(&keys);
            let is_highest = keys.iter().all(|key| *key <= last);

            prop_assert_eq!(register.write(last, last.seq), is_highest);
            prop_assert_eq!(register.since == last, is_highest);
        }
    }

    /// The register after the writes. An event determines its value, so the value is the seq.
    fn written(keys: &[OrderKey]) -> Register<u64> {
        let mut registers = BTreeMap::new();
        for key in keys {
            Register::write_at(&mut registers, (), *key, key.seq);
        }
        registers[&()]
    }

    fn writes() -> impl Strategy<Value = Vec<OrderKey>> {
        proptest::collection::vec(key(), 1..8)
    }

    fn key() -> impl Strategy<Value = OrderKey> {
        (0..4_u64, 1..3_u16, 1..4_u64).prop_map(|(ms, replica, seq)| OrderKey {
            hlc: Hlc::at_ms(ms),
            replica: ReplicaId::new(replica).expect("not 0"),
            epoch: Epoch(7),
            seq,
        })
    }
}
