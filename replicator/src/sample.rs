//! An event to try things with.

use causeway_domain::chain::Hash;
use causeway_domain::envelope::{Envelope, RawEvent};
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Epoch, Origin, ReplicaId};
use causeway_domain::stamp::Stamp;

/// The event of a replica at a number, made when so much was held of others.
pub(crate) fn event(replica: u16, seq: u64, past: &[(u16, u64)]) -> RawEvent {
    let past = past.iter().map(|&(replica, seq)| (writer(replica), seq));
    let nothing = serde_json::value::to_raw_value(&()).unwrap();
    let envelope = Envelope {
        stamp: Stamp {
            origin: writer(replica),
            seq,
            hlc: Hlc::at_ms(5),
            past: past.collect(),
        },
        level: 1,
        aggregate: "post".into(),
        id: "x".into(),
        group: None,
        kind: "Posted".into(),
        at: 0,
        event: nothing.into(),
    };
    RawEvent::create(envelope, Hash::START)
}

fn writer(replica: u16) -> Origin {
    Origin {
        replica: ReplicaId::new(replica).unwrap(),
        epoch: Epoch(0),
    }
}
