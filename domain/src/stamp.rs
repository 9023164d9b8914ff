//! Who accepted an event, knowing what, and when in the order.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::hlc::Hlc;
use crate::ids::{Epoch, NotThatForm, Origin, ReplicaId};
use crate::version_vector::VersionVector;

/// The identity of an event: its origin, and its place among that origin's events, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// Who first accepted the event.
    pub origin: Origin,
    /// Its place, from 1, no gaps.
    pub seq: u64,
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.origin, self.seq)
    }
}

/// The dot of an event, what its origin held just before it, and its clock reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Who first accepted the event.
    pub origin: Origin,
    /// Its place among the origin's events.
    pub seq: u64,
    /// The reading of the origin's clock, above every reading in its past.
    pub hlc: Hlc,
    /// What the origin held just before: the event's causal past.
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

    /// The event's place in the one order.
    pub fn order_key(&self) -> OrderKey {
        OrderKey {
            hlc: self.hlc,
            replica: self.origin.replica,
            epoch: self.origin.epoch,
            seq: self.seq,
        }
    }

    /// What the origin held just after: its past and itself.
    pub fn vector(&self) -> VersionVector {
        let mut vector = self.past.clone();
        vector.record(self.dot());
        vector
    }
}

/// The one order of all events. It extends causality (a cause sorts before its effect, because
/// clocks are merged before they are read) and is the same on every replica. The derived `Ord` is
/// the only comparator there is; the text form, fixed-width hex, sorts like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey {
    /// First the clock,
    pub hlc: Hlc,
    /// then the replica,
    pub replica: ReplicaId,
    /// its database,
    pub epoch: Epoch,
    /// and the number it gave.
    pub seq: u64,
}

impl OrderKey {
    /// Characters of the text form.
    pub const TEXT_LEN: usize = 44;

    /// The dot of the event at this place.
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
