//! Events of a peer and of a group with one member.

use crate::chain::Hash;
use crate::envelope::{Envelope, RawEvent};
use crate::hlc::Hlc;
use crate::ids::{Epoch, Origin, ReplicaId};
use crate::stamp::Stamp;

pub fn origin(replica: u16, epoch: u32) -> Origin {
    Origin {
        replica: ReplicaId::new(replica).unwrap(),
        epoch: Epoch(epoch),
    }
}

/// Consecutive messages of one origin.
pub fn of_a_peer(count: u64) -> Vec<RawEvent> {
    let mut chain = Hash::START;
    let messages = (1..=count).map(|seq| {
        let content = r#"{"author":{"id":"bob","name":"bob"},"text":"hello"}"#;
        let message = envelope(seq, "post", &format!("m{seq}"), "MessagePosted", content);
        let event = RawEvent::create(message, chain);
        chain = event.hash;
        event
    });
    messages.collect()
}

/// A join of a peer.
pub fn join(group: &str, user: &str) -> Envelope {
    let content = format!(r#"{{"user":{{"id":"{user}","name":"{user}"}}}}"#);
    envelope(1, "group", group, "MemberJoined", &content)
}

fn envelope(seq: u64, aggregate: &str, id: &str, kind: &str, content: &str) -> Envelope {
    let origin = origin(2, 5);
    let past = [(origin, seq - 1)].into_iter().filter(|(_, seq)| *seq > 0);
    let event = serde_json::value::RawValue::from_string(content.to_owned()).unwrap();
    Envelope {
        stamp: Stamp {
            origin,
            seq,
            hlc: Hlc::at_ms(1_000 + seq),
            past: past.collect(),
        },
        level: 1,
        aggregate: aggregate.to_owned(),
        id: id.to_owned(),
        group: Some("lobby".to_owned()),
        kind: kind.to_owned(),
        at: 0,
        event: event.into(),
    }
}
