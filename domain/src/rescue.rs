//! What a rescue does with the events of the side that yields after a fork, decided: which of them
//! leave the log, and which are written again under the new epoch.
//!
//! A message is written again unless a copy is there: copies have one id and are one message, so
//! whoever brings it back as well does no harm. Of what was said about one membership or one like
//! only the last counts, and only where nothing newer was said since: what would have lost is not
//! revived.

use std::collections::BTreeMap;

use crate::envelope::Envelope;
use crate::event::Event;
use crate::group::GroupEvent;
use crate::ids::Origin;
use crate::post::PostEvent;
use crate::stamp::{OrderKey, Stamp};

/// Where histories part: origin → the highest number that both sides hold alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parting(pub BTreeMap<Origin, u64>);

impl Parting {
    /// Tells whether an event has to leave: it lies beyond a parting, or was written knowing an
    /// event that does.
    pub fn takes(&self, stamp: &Stamp) -> bool {
        let knows = |(&origin, &shared): (&Origin, &u64)| {
            stamp.past.get(origin) > shared || (stamp.origin == origin && stamp.seq > shared)
        };
        self.0.iter().any(knows)
    }
}

/// What an event decides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the fields are the parts of the sentence")]
pub enum Subject {
    /// That there is this message.
    Message { id: String },
    /// Whether a user likes a message.
    Like { message: String, user: String },
    /// Whether a user is a member of a group.
    Membership { group: String, user: String },
    /// Something this version does not know.
    Unknown,
}

impl Subject {
    /// Reads what an event decides.
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

/// The event that speaks for each subject, of all that wait: a message's first copy, and the last
/// that was said about anything else.
#[derive(Debug, Default)]
pub struct Speakers(BTreeMap<Subject, OrderKey>);

impl Speakers {
    /// Takes one more event into account.
    pub fn hear(&mut self, subject: Subject, key: OrderKey) {
        if subject == Subject::Unknown {
            return;
        }
        let is_message = matches!(subject, Subject::Message { .. });
        let speaker = self.0.entry(subject).or_insert(key);
        *speaker = if is_message {
            key.min(*speaker)
        } else {
            key.max(*speaker)
        };
    }

    /// Tells whether an event is to be written again. `decided`: the highest order key of what is
    /// in the log about its subject.
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
    fn what_lies_beyond_a_parting_or_knows_of_it_leaves() {
        let parting = Parting(BTreeMap::from([(origin(2), 3)]));

        assert!(!parting.takes(&stamp(2, 3, &[(2, 2)])));
        assert!(parting.takes(&stamp(2, 4, &[(2, 3)])));
        assert!(!parting.takes(&stamp(1, 9, &[(1, 8), (2, 3)])));
        assert!(parting.takes(&stamp(1, 9, &[(1, 8), (2, 4)])));
    }

    #[test]
    fn a_message_is_brought_back_once_and_only_where_no_copy_is() {
        let message = Subject::Message { id: "m".into() };
        let mut speakers = Speakers::default();
        speakers.hear(message.clone(), key(9));
        speakers.hear(message.clone(), key(5));

        assert!(speakers.is_missed(&message, key(5), None));
        assert!(!speakers.is_missed(&message, key(9), None));
        assert!(!speakers.is_missed(&message, key(5), Some(key(1))));
    }

    #[test]
    fn the_last_word_about_a_like_is_said_again_unless_a_newer_one_was_said() {
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
            "it was taken back since"
        );
    }

    #[test]
    fn what_this_version_does_not_know_speaks_for_nothing() {
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
