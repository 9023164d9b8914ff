//! Decides what a rescue does with the events of the yielding side of a fork: which of them leave
//! the log, and which are written again under the new epoch.
//!
//! A message is written again unless the log holds a copy. Copies share one id and are one message,
//! so it does no harm if another replica writes it again as well. For a membership or a like only
//! the last write is repeated, and only if the log holds no newer one: an overruled write is not
//! revived.

use std::collections::BTreeMap;

use crate::envelope::Envelope;
use crate::event::Event;
use crate::group::GroupEvent;
use crate::ids::Origin;
use crate::post::PostEvent;
use crate::stamp::{OrderKey, Stamp};

/// The point where two histories diverge: origin → the highest seq up to which both sides agree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parting(pub BTreeMap<Origin, u64>);

impl Parting {
    /// Whether an event has to leave the log: it lies beyond the point of divergence, or its causal
    /// past contains such an event.
    pub fn takes(&self, stamp: &Stamp) -> bool {
        let knows = |(&origin, &shared): (&Origin, &u64)| {
            stamp.past.get(origin) > shared || (stamp.origin == origin && stamp.seq > shared)
        };
        self.0.iter().any(knows)
    }
}

/// The piece of state that an event writes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the variants describe their fields")]
pub enum Subject {
    /// The existence of a message.
    Message { id: String },
    /// Whether a user likes a message.
    Like { message: String, user: String },
    /// Whether a user is a member of a group.
    Membership { group: String, user: String },
    /// Unknown to this version.
    Unknown,
}

impl Subject {
    /// Decodes the subject of an event.
    pub fn of(envelope: &Envelope) -> Self {
        let (kind, event) = (&envelope.kind, envelope.event.get());
        let id = envelope.id.clone();
        match envelope.aggregate.as_str() {
            "post" => match PostEvent::read(kind, event) {
                Ok(PostEvent::MessagePosted { .. }) => Self::Message { id },
                Ok(PostEvent::MessageLiked { user } | PostEvent::MessageUnliked { user }) => {
                    Self::Like {
                        message: id,
                        user: user.id.0,
                    }
                }
                Ok(PostEvent::Unknown) | Err(_) => Self::Unknown,
            },
            "group" => match GroupEvent::read(kind, event) {
                Ok(GroupEvent::MemberJoined { user } | GroupEvent::MemberLeft { user }) => {
                    Self::Membership {
                        group: id,
                        user: user.id.0,
                    }
                }
                Ok(GroupEvent::Unknown) | Err(_) => Self::Unknown,
            },
            _ => Self::Unknown,
        }
    }
}

/// The event to write again for each subject, among all those of the yielding side: the first copy
/// of a message, the last write to a register.
#[derive(Debug, Default)]
pub struct Speakers(BTreeMap<Subject, OrderKey>);

impl Speakers {
    /// Considers one more event.
    pub fn hear(&mut self, subject: Subject, key: OrderKey) {
        if subject == Subject::Unknown {
            return;
        }
        let is_message = matches!(subject, Subject::Message { .. });
        let chosen = self.0.entry(subject).or_insert(key);
        *chosen = if is_message {
            key.min(*chosen)
        } else {
            key.max(*chosen)
        };
    }

    /// Whether an event has to be written again. `decided` is the highest order key in the log of
    /// its subject.
    pub fn is_missed(&self, subject: &Subject, key: OrderKey, decided: Option<OrderKey>) -> bool {
        if self.0.get(subject) != Some(&key) {
            return false;
        }
        match subject {
            Subject::Message { .. } => decided.is_none(),
            _ => decided.is_none_or(|decided| decided < key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hlc::Hlc;
    use crate::ids::{Epoch, ReplicaId};
    use crate::version_vector::VersionVector;

    #[test]
    fn events_beyond_the_divergence_and_those_that_depend_on_them_leave() {
        let parting = Parting(BTreeMap::from([(origin(2), 3)]));

        assert!(!parting.takes(&stamp(2, 3, &[(2, 2)])));
        assert!(parting.takes(&stamp(2, 4, &[(2, 3)])));
        assert!(!parting.takes(&stamp(1, 9, &[(1, 8), (2, 3)])));
        assert!(parting.takes(&stamp(1, 9, &[(1, 8), (2, 4)])));
    }

    #[test]
    fn a_message_is_written_again_once_and_only_without_a_copy_in_the_log() {
        let message = Subject::Message { id: "m".into() };
        let mut speakers = Speakers::default();
        speakers.hear(message.clone(), key(9));
        speakers.hear(message.clone(), key(5));

        assert!(speakers.is_missed(&message, key(5), None));
        assert!(!speakers.is_missed(&message, key(9), None));
        assert!(!speakers.is_missed(&message, key(5), Some(key(1))));
    }

    #[test]
    fn the_last_write_of_a_like_is_repeated_unless_the_log_holds_a_newer_one() {
        let like = Subject::Like {
            message: "m".into(),
            user: "u".into(),
        };
        let mut speakers = Speakers::default();
        speakers.hear(like.clone(), key(5));
        speakers.hear(like.clone(), key(9));

        assert!(speakers.is_missed(&like, key(9), None));
        assert!(speakers.is_missed(&like, key(9), Some(key(8))));
        assert!(!speakers.is_missed(&like, key(9), Some(key(10))));
        assert!(
            !speakers.is_missed(&like, key(5), None),
            "a later write replaces it"
        );
    }

    #[test]
    fn an_unknown_event_is_never_written_again() {
        let mut speakers = Speakers::default();
        speakers.hear(Subject::Unknown, key(5));

        assert!(!speakers.is_missed(&Subject::Unknown, key(5), None));
    }

    fn origin(replica: u16) -> Origin {
        Origin {
            replica: ReplicaId::new(replica).unwrap(),
            epoch: Epoch(7),
        }
    }

    fn stamp(replica: u16, seq: u64, past: &[(u16, u64)]) -> Stamp {
        let past: VersionVector = past.iter().map(|&(o, seq)| (origin(o), seq)).collect();
        Stamp {
            origin: origin(replica),
            seq,
            hlc: Hlc::at_ms(seq),
            past,
        }
    }

    fn key(ms: u64) -> OrderKey {
        stamp(1, ms, &[]).order_key()
    }
}
