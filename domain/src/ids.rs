//! The identities of replicas, of the databases they write with, and of events. Parsed once, valid
//! ever after.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The number of a replica in the configuration: 1, 2, …
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplicaId(NonZeroU16);

impl ReplicaId {
    /// Returns the id for a configured number, or nothing for 0.
    pub fn new(number: u16) -> Option<Self> {
        NonZeroU16::new(number).map(Self)
    }

    /// The number as people write it.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which database of a replica wrote: 32 random bits, drawn anew whenever it cannot be proven that
/// a database continues the former one, so that no number is ever given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Who first accepted an event: a replica writing with one database. Text form `2.9f3c07aa`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The replica.
    pub replica: ReplicaId,
    /// Its database.
    pub epoch: Epoch,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.replica, self.epoch)
    }
}

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

/// A text that is not the text form it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct NotThatForm {
    /// What was given.
    pub text: String,
    /// What the form looks like.
    pub expected: &'static str,
}

impl FromStr for Origin {
    type Err = NotThatForm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || NotThatForm {
            text: text.chars().take(64).collect(),
            expected: "an origin such as `2.9f3c07aa`",
        };
        let (replica, epoch) = text.split_once('.').ok_or_else(refused)?;
        let replica_number: u16 = replica.parse().map_err(|_| refused())?;
        let origin = Self {
            replica: ReplicaId::new(replica_number).ok_or_else(refused)?,
            epoch: Epoch(u32::from_str_radix(epoch, 16).map_err(|_| refused())?),
        };
        // One text per origin: no leading zeros, signs or capitals.
        if origin.to_string() == text {
            Ok(origin)
        } else {
            Err(refused())
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_origin_is_read_as_it_was_written(number in 1..=u16::MAX, epoch: u32) {
            let origin = Origin {
                replica: ReplicaId::new(number).unwrap(),
                epoch: Epoch(epoch),
            };

            prop_assert_eq!(origin.to_string().parse(), Ok(origin));
            let json = serde_json::to_string(&origin).unwrap();
            prop_assert_eq!(serde_json::from_str::<Origin>(&json).unwrap(), origin);
        }

        #[test]
        fn every_text_is_at_most_one_way_to_write_an_origin(text in "[0-9+]{1,6}\\.[0-9a-fA-F+]{1,9}") {
            if let Ok(origin) = text.parse::<Origin>() {
                prop_assert_eq!(origin.to_string(), text);
            }
        }

        #[test]
        fn junk_is_no_origin(text in ".{0,40}") {
            prop_assume!(!text.contains('.'));
            prop_assert!(text.parse::<Origin>().is_err());
        }
    }

    #[test]
    fn there_is_no_replica_0() {
        assert_eq!(ReplicaId::new(0), None);
        assert!("0.9f3c07aa".parse::<Origin>().is_err());
        assert!(serde_json::from_str::<ReplicaId>("0").is_err());
    }
}
