//! What an operator must know: as a sentence, and with a name for machines.

use std::cmp::Ordering;
use std::collections::BTreeMap;
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
    /// There is no secure connection to a peer.
    Insecure {
        /// Who.
        peer: ReplicaId,
        /// Why.
        why: String,
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
    /// So many more of one kind that they are only counted.
    More {
        /// Of which kind.
        kind: &'static str,
        /// How many.
        count: u64,
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
            Self::Refused { .. } | Self::Insecure { .. } => refused,
            Self::ClockOff { .. } => clock,
            Self::Unconfirmed { .. } => unconfirmed,
            Self::More { kind, .. } => kind,
        }
    }

    /// How many alarms it stands for.
    pub fn count(&self) -> u64 {
        match self {
            Self::More { count, .. } => *count,
            _ => 1,
        }
    }

    /// The other replica it is about.
    pub fn replica(&self) -> Option<ReplicaId> {
        match self {
            Self::Fork { peer, .. }
            | Self::OwnEventsUnknown { peer, .. }
            | Self::RefusedBy { peer, .. }
            | Self::Insecure { peer, .. }
            | Self::ClockOff { peer, .. } => Some(*peer),
            Self::Refused { replica, .. } => Some(*replica),
            Self::Unconfirmed { .. } | Self::More { .. } => None,
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
            Self::Insecure { peer, why } => {
                write!(f, "replica {peer} is not called, because {why}")
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
            Self::More { count, .. } => write!(f, "and {count} more of this kind"),
        }
    }
}

/// Most alarms of one kind that are shown one by one.
const MOST: usize = 100;

/// Keeps the first alarms of each kind, and counts the others.
pub(crate) fn bounded(alarms: Vec<Alarm>) -> Vec<Alarm> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut shown = Vec::new();
    for alarm in alarms {
        let count = counts.entry(alarm.kind()).or_default();
        *count += 1;
        if *count <= MOST {
            shown.push(alarm);
        }
    }
    let counts = Alarm::KINDS
        .into_iter()
        .map(|kind| (kind, counts.get(kind)));
    let more = counts.filter_map(|(kind, count)| {
        let count = count?.saturating_sub(MOST) as u64;
        (count > 0).then_some(Alarm::More { kind, count })
    });
    shown.extend(more);
    shown
}

/// Bounds how many alarms are told one by one: a peer may give cause for any number, and the log is
/// to stay readable. All that stand are counted.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    since_ms: u64,
    told: BTreeMap<&'static str, usize>,
}

impl Telling {
    /// Tells whether to tell of one more alarm of this kind; and of the first that is left out, that
    /// there are more.
    pub(crate) fn tell(&mut self, now_ms: u64, alarm: Alarm) -> Option<Alarm> {
        if now_ms >= self.since_ms + PERIOD_MS {
            *self = Self {
                since_ms: now_ms,
                told: BTreeMap::new(),
            };
        }
        let kind = alarm.kind();
        let told = self.told.entry(kind).or_default();
        *told += 1;
        match (*told).cmp(&(MOST + 1)) {
            Ordering::Less => Some(alarm),
            Ordering::Equal => Some(Alarm::More { kind, count: 1 }),
            Ordering::Greater => None,
        }
    }
}

/// In which time at most [`MOST`] alarms of one kind are told.
const PERIOD_MS: u64 = 60_000;

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
