//! The read model of a set of events, computed without any fold.

use std::collections::BTreeMap;

use causeway_domain::envelope::RawEvent;
use causeway_domain::event::Event;
use causeway_domain::group::GroupEvent;
use causeway_domain::post::PostEvent;
use causeway_domain::register::Register;
use causeway_domain::stamp::OrderKey;
use causeway_domain::timeline::{Declaration, Fact, Message};

/// (message or group, user).
pub type Pair = (String, String);

/// Everything that users can see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadModel {
    pub messages: BTreeMap<String, Message>,
    pub likes: BTreeMap<Pair, Register<Declaration>>,
    pub members: BTreeMap<Pair, Register<Declaration>>,
    /// Group → number of members.
    pub groups: BTreeMap<String, i64>,
}

/// Computes the read model of a set of events, given in any order: per pair the write with the
/// highest key decides, and of the copies of a message the lowest is the message.
pub fn expected(events: &[RawEvent]) -> ReadModel {
    let mut model = ReadModel::default();
    let mut by_key: Vec<&RawEvent> = events.iter().collect();
    by_key.sort_by_key(|event| event.envelope.stamp.order_key());
    for event in by_key {
        let envelope = &event.envelope;
        let (id, key) = (envelope.id.clone(), envelope.stamp.order_key());
        let content = envelope.event.get();
        match envelope.aggregate.as_str() {
            "group" => {
                let (user, is_in) = match GroupEvent::read(&envelope.kind, content).unwrap() {
                    GroupEvent::MemberJoined { user } => (user, true),
                    GroupEvent::MemberLeft { user } => (user, false),
                    GroupEvent::Unknown => unreachable!("not made here"),
                };
                if is_in {
                    model.groups.entry(id.clone()).or_default();
                }
                model
                    .members
                    .insert((id, user.id.0), declared(user.name, key, is_in));
            }
            _ => match PostEvent::read(&envelope.kind, content).unwrap() {
                PostEvent::MessagePosted { .. } => {
                    let message = Fact::read(0, event).unwrap().unwrap().into_message();
                    model.messages.entry(id).or_insert(message.unwrap());
                }
                PostEvent::MessageLiked { user } => {
                    let liked = declared(user.name, key, true);
                    model.likes.insert((id, user.id.0), liked);
                }
                PostEvent::MessageUnliked { user } => {
                    let unliked = declared(user.name, key, false);
                    model.likes.insert((id, user.id.0), unliked);
                }
                PostEvent::Unknown => unreachable!("not made here"),
            },
        }
    }
    for ((group, _), member) in &model.members {
        if let Some(count) = model.groups.get_mut(group) {
            *count += i64::from(member.value.is_in);
        }
    }
    for ((message, _), like) in &model.likes {
        if let Some(message) = model.messages.get_mut(message) {
            message.likes_count += i64::from(like.value.is_in);
        }
    }
    model
}

fn declared(user_name: String, since: OrderKey, is_in: bool) -> Register<Declaration> {
    Register {
        since,
        value: Declaration { user_name, is_in },
    }
}
