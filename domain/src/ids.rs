//! The identities of replicas, epochs and events. Values are validated when they are parsed.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The number of a replica in the configuration: 1, 2, …
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplicaId(NonZeroU16);

impl ReplicaId {
    /// Returns the id for a configured number, `None` for 0.
    pub fn new(number: u16) -> Option<Self> {
        NonZeroU16::new(number).map(Self)
    }

    /// The configured number.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The incarnation of a replica's database: 32 random bits, drawn again whenever continuity with
/// the previous database cannot be proven, so that no seq is issued twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// The replica and epoch that first accepted an event. Text form `2.9f3c07aa`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The replica.
    pub replica: ReplicaId,
    /// The epoch of its database.
    pub epoch: Epoch,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.replica, self.epoch)
    }
}

/// The identity of an event: its origin and its number among that origin's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// The replica and epoch that first accepted the event.
    pub origin: Origin,
    /// Its number, from 1, without gaps.
    pub seq: u64,
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.origin, self.seq)
    }
}

/// A text that is not in the expected form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct NotThatForm {
    /// The text, truncated.
    pub text: String,
    /// A description of the expected form.
    pub expected: &'static str,
}

impl FromStr for Origin {
    type Err = NotThatForm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || NotThatForm {
            text: text.chars().take(64).collect(),
            expected: "an origin such as `2.9f3c07aa`",
        };
        let (replica, epoch) = text.split_once('.').ok_or_else(error)?;
        let replica_number: u16 = replica.parse().map_err(|_| error())?;
        let origin = Self {
            replica: ReplicaId::new(replica_number).ok_or_else(error)?,
            epoch: Epoch(u32::from_str_radix(epoch, 16).map_err(|_| error())?),
        };
        // Each origin has one text form: no leading zeros, signs or capitals.
        if origin.to_string() == text {
            Ok(origin)
        } else {
            Err(error())
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
        fn an_origin_round_trips_as_text_and_json(number in 1..=u16::MAX, epoch: u32) {
            let origin = Origin {
                replica: ReplicaId::new(number).unwrap(),
                epoch: Epoch(epoch),
            };

            prop_assert_eq!(origin.to_string().parse(), Ok(origin));
            let json = serde_json::to_string(&origin).unwrap();
            prop_assert_eq!(serde_json::from_str::<Origin>(&json).unwrap(), origin);
        }

        #[test]
        fn an_origin_has_only_one_text_form(text in "[0-9+]{1,6}\\.[0-9a-fA-F+]{1,9}") {
            if let Ok(origin) = text.parse::<Origin>() {
                prop_assert_eq!(origin.to_string(), text);
            }
        }

        #[test]
        fn text_without_a_dot_is_no_origin(text in ".{0,40}") {
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
