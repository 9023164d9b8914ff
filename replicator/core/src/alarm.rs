//! What an operator must know: as a sentence, and with a name for machines.

use std::fmt;

use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::mutant;

use crate::wire::Refusal;

/// What an operator must know. Each is told once, until it has passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// A peer holds other events of this origin, or has met a third replica that does: it is
    /// exchanged no further.
    Fork {
        /// Who.
        peer: ReplicaId,
        /// Of which origin.
        origin: Origin,
    },
    /// A peer holds more of our own events than we wrote: this database was rolled back or copied.
    OwnEventsUnknown {
        /// Who.
        peer: ReplicaId,
        /// Our own origin.
        origin: Origin,
        /// The highest the peer holds.
        shown: u64,
        /// The highest we hold.
        held: u64,
    },
    /// A peer refuses us.
    RefusedBy {
        /// Who.
        peer: ReplicaId,
        /// Why.
        reason: Refusal,
    },
    /// We refuse a caller.
    Refused {
        /// What number it gave.
        replica: ReplicaId,
        /// Why.
        reason: Refusal,
    },
    /// The clocks of a peer and of this replica differ: one of them is wrong (F15).
    ClockOff {
        /// Who.
        peer: ReplicaId,
        /// How far the peer's is ahead of ours.
        offset_ms: i64,
    },
    /// Events of this replica are on no other one for long: if its disk is lost, so are they.
    Unconfirmed {
        /// How many.
        count: u64,
        /// How long the oldest.
        age_ms: u64,
    },
}

impl Alarm {
    /// Every kind there is.
    pub const KINDS: [&'static str; 6] = [
        "fork",
        "rolled_back",
        "refused_by",
        "refused",
        "clock",
        "unconfirmed",
    ];

    /// What machines call it.
    pub fn kind(&self) -> &'static str {
        let [fork, rolled_back, refused_by, refused, clock, unconfirmed] = Self::KINDS;
        match self {
            Self::Fork { .. } => fork,
            Self::OwnEventsUnknown { .. } => rolled_back,
            Self::RefusedBy { .. } => refused_by,
            Self::Refused { .. } => refused,
            Self::ClockOff { .. } => clock,
            Self::Unconfirmed { .. } => unconfirmed,
        }
    }

    /// The other replica it is about.
    pub fn replica(&self) -> Option<ReplicaId> {
        match self {
            Self::Fork { peer, .. }
            | Self::OwnEventsUnknown { peer, .. }
            | Self::RefusedBy { peer, .. }
            | Self::ClockOff { peer, .. } => Some(*peer),
            Self::Refused { replica, .. } => Some(*replica),
            Self::Unconfirmed { .. } => None,
        }
    }

    /// The origin it is about.
    pub fn origin(&self) -> Option<Origin> {
        match self {
            Self::Fork { origin, .. } | Self::OwnEventsUnknown { origin, .. } => Some(*origin),
            _ => None,
        }
    }

    /// Returns the origin whose numbers are not safe to give any more, where this says so: peers
    /// hold events of it that are not here, or other ones.
    pub(crate) fn doubted(&self) -> Option<Origin> {
        mutant!(UnknownOwnEventsRenew => None);
        self.origin()
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fork { peer, origin } => write!(
                f,
                "replica {peer} holds or has met other events of {origin} under the same numbers, so \
                 nothing more of {origin} is exchanged; stop the side that is to yield and run \
                 `causeway-server new-epoch --rescue` there"
            ),
            Self::OwnEventsUnknown {
                peer,
                origin,
                shown,
                held,
            } => write!(
                f,
                "replica {peer} holds {shown} events of {origin}, this replica wrote {held}: its \
                 database was rolled back or copied"
            ),
            Self::RefusedBy { peer, reason } => {
                write!(f, "replica {peer} refuses to talk to this one: {reason}")
            }
            Self::Refused { replica, reason } => {
                write!(f, "a caller with the number {replica} is refused: {reason}")
            }
            Self::ClockOff { peer, offset_ms } => {
                let (seconds, tenths) = tenths(offset_ms.unsigned_abs());
                let side = if *offset_ms < 0 { "behind" } else { "ahead of" };
                write!(
                    f,
                    "the clock of replica {peer} is {seconds}.{tenths} s {side} this one's"
                )
            }
            Self::Unconfirmed { count, age_ms } => write!(
                f,
                "{count} events written here are on no other replica, the oldest for {} s",
                age_ms / 1_000
            ),
        }
    }
}

fn tenths(ms: u64) -> (u64, u64) {
    (ms / 1_000, ms % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_domain::ids::Epoch;

    #[test]
    fn an_alarm_is_a_plain_sentence_that_says_who() {
        let peer = ReplicaId::new(2).unwrap();
        let origin = Origin {
            replica: ReplicaId::new(1).unwrap(),
            epoch: Epoch(9),
        };
        let fork = Alarm::Fork { peer, origin };
        let clock = Alarm::ClockOff {
            peer,
            offset_ms: -61_230,
        };

        assert!(fork.to_string().contains("replica 2") && fork.to_string().contains("--rescue"));
        assert_eq!(
            clock.to_string(),
            "the clock of replica 2 is 61.2 s behind this one's"
        );
        assert_eq!((fork.kind(), fork.replica()), ("fork", Some(peer)));
        assert_eq!((fork.origin(), clock.origin()), (Some(origin), None));
    }
}
