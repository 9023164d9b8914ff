//! An event's dot, causal past and clock reading, and the order key made of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::hlc::Hlc;
use crate::ids::{Dot, Epoch, NotThatForm, Origin, ReplicaId};
use crate::version_vector::VersionVector;

/// The dot, the causal past and the clock reading of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The replica and epoch that first accepted the event.
    pub origin: Origin,
    /// Its number among the origin's events, from 1.
    pub seq: u64,
    /// The reading of the origin's clock, above every reading in its past.
    pub hlc: Hlc,
    /// The origin's vector just before the event: its causal past.
    pub past: VersionVector,
}

impl Stamp {
    /// The event's identity.
    pub fn dot(&self) -> Dot {
        Dot {
            origin: self.origin,
            seq: self.seq,
        }
    }

    /// The event's order key.
    pub fn order_key(&self) -> OrderKey {
        OrderKey {
            hlc: self.hlc,
            replica: self.origin.replica,
            epoch: self.origin.epoch,
            seq: self.seq,
        }
    }

    /// The origin's vector just after the event: its past and the event itself.
    pub fn vector(&self) -> VersionVector {
        let mut vector = self.past.clone();
        vector.record(self.dot());
        vector
    }
}

/// The total order of all events, equal on every replica. It extends causality: a cause sorts
/// before its effect, because clocks are merged before they are read. The derived `Ord` is the only
/// comparator; the text form, fixed-width hex, sorts like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey {
    /// The clock reading.
    pub hlc: Hlc,
    /// The origin's replica.
    pub replica: ReplicaId,
    /// The origin's epoch.
    pub epoch: Epoch,
    /// The number among the origin's events.
    pub seq: u64,
}

impl OrderKey {
    /// Length of the text form, in characters.
    pub const TEXT_LEN: usize = 44;

    /// The dot of the event with this key.
    pub fn dot(&self) -> Dot {
        Dot {
            origin: Origin {
                replica: self.replica,
                epoch: self.epoch,
            },
            seq: self.seq,
        }
    }
}

impl fmt::Display for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:016x}{:04x}{:08x}{:016x}",
            self.hlc.get(),
            self.replica.get(),
            self.epoch.0,
            self.seq
        )
    }
}

impl FromStr for OrderKey {
    type Err = NotThatForm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_order_key(text).ok_or_else(|| NotThatForm {
            text: text.chars().take(64).collect(),
            expected: "a position: 44 lower-case hexadecimal digits",
        })
    }
}

impl Serialize for OrderKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OrderKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn parse_order_key(text: &str) -> Option<OrderKey> {
    let is_lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() != OrderKey::TEXT_LEN || !text.bytes().all(is_lower_hex) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| u64::from_str_radix(&text[range], 16).ok();
    Some(OrderKey {
        hlc: Hlc::new(number(0..16)?)?,
        replica: ReplicaId::new(u16::try_from(number(16..20)?).ok()?)?,
        epoch: Epoch(u32::try_from(number(20..28)?).ok()?),
        seq: number(28..44)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hlc::Clock;

    proptest! {
        #[test]
        fn a_position_round_trips_as_text_and_sorts_like_the_key(
            a in any_key(), b in any_key(),
        ) {
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.to_string().len(), OrderKey::TEXT_LEN);
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn a_position_has_only_one_text_form(text in "[0-9a-fA-F+]{44}") {
            if let Ok(key) = text.parse::<OrderKey>() {
                prop_assert_eq!(key.to_string(), text);
            }
        }

        #[test]
        fn text_of_another_length_is_no_position(text in ".{0,60}") {
            prop_assert!(text.len() == OrderKey::TEXT_LEN || text.parse::<OrderKey>().is_err());
        }

        /// Replicas write, receive each other's events, and have wall clocks that jump at random:
        /// an event in the past of another sorts before it.
        #[test]
        fn the_order_extends_causality(
            steps in proptest::collection::vec((0..4_usize, 0..4_usize, any::<u64>()), 1..60),
        ) {
            let mut replicas = [1, 2, 3, 4].map(Writer::new);
            let mut written: Vec<Stamp> = Vec::new();
            for (at, from, wall) in steps {
                if at == from {
                    written.push(replicas[at].write(wall >> 17));
                } else {
                    let sender = replicas[from].clone();
                    replicas[at].receive(&sender);
                }
            }
            for cause in &written {
                for effect in written.iter().filter(|e| e.past.covers(cause.dot())) {
                    prop_assert!(cause.order_key() < effect.order_key());
                }
                prop_assert!(cause.past.is_next(cause.dot()));
                prop_assert_eq!(cause.order_key().dot(), cause.dot());
                prop_assert!(cause.vector().covers(cause.dot()));
            }
        }
    }

    #[derive(Clone)]
    struct Writer {
        origin: Origin,
        clock: Clock,
        held: VersionVector,
    }

    impl Writer {
        fn new(number: u16) -> Self {
            Self {
                origin: Origin {
                    replica: ReplicaId::new(number).unwrap(),
                    epoch: Epoch(1),
                },
                clock: Clock::default(),
                held: VersionVector::default(),
            }
        }

        fn write(&mut self, wall_ms: u64) -> Stamp {
            let stamp = Stamp {
                origin: self.origin,
                seq: self.held.get(self.origin) + 1,
                hlc: self.clock.tick(wall_ms),
                past: self.held.clone(),
            };
            self.held = stamp.vector();
            stamp
        }

        fn receive(&mut self, other: &Self) {
            self.clock.merge(other.clock.last());
            self.held.merge(&other.held);
        }
    }

    fn any_key() -> impl Strategy<Value = OrderKey> {
        let near = 0..3_u64;
        let hlc = prop_oneof![near.clone(), 0..=Hlc::MAX.get()];
        let seq = prop_oneof![near, any::<u64>()];
        (hlc, 1..5_u16, 0..3_u32, seq).prop_map(|(hlc, replica, epoch, seq)| OrderKey {
            hlc: Hlc::new(hlc).unwrap(),
            replica: ReplicaId::new(replica).unwrap(),
            epoch: Epoch(epoch),
            seq,
        })
    }
}
