//! What one peer can make a replica do at once is bounded (F25).

use std::sync::Arc;

use causeway_domain::chain::Hash;
use causeway_domain::envelope::{Envelope, RawEvent};
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Epoch, Origin};
use causeway_domain::stamp::Stamp;
use causeway_domain::version_vector::VersionVector;
use causeway_replicator::link::Link;
use causeway_replicator_core::failure::LinkError;
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::hung::Hung;
use crate::support::replicas_beside;
use crate::{link_of, stop};

#[tokio::test]
async fn a_peer_that_pushes_too_much_at_once_is_told_to_wait() {
    let silent = |_| Some(Hung::from_the_start(Arc::default()));
    let replicas = replicas_beside(1, |_| b"key", silent).await;
    let link = link_of(Hung::id(), &replicas[0].url);
    let event = [event_of_the_silent_one()];
    let mut busy = replicas[0].log.pool().begin().await.unwrap();
    let lock = sqlx::query("LOCK TABLE events IN EXCLUSIVE MODE");
    lock.execute(&mut *busy).await.unwrap();

    let mut pushes: FuturesUnordered<_> = (0..20).map(|_| link.push(&event)).collect();
    let first = pushes.next().await.unwrap();
    busy.rollback().await.unwrap();

    assert_eq!(first.err(), Some(LinkError::Busy));
    let others: Vec<_> = pushes.collect().await;
    let taken = others.iter().filter(|outcome| outcome.is_ok()).count();
    assert!((1..20).contains(&taken), "{taken} pushes were taken");
    assert_eq!(replicas[0].log.head().offset, 1);
    link.push(&event).await.unwrap();
    stop(replicas).await;
}

fn event_of_the_silent_one() -> RawEvent {
    let origin = Origin {
        replica: Hung::id(),
        epoch: Epoch(9),
    };
    let envelope = Envelope {
        stamp: Stamp {
            origin,
            seq: 1,
            hlc: Hlc::at_ms(1),
            past: VersionVector::default(),
        },
        level: 1,
        aggregate: "group".into(),
        id: "lobby".into(),
        group: Some("lobby".into()),
        kind: "Unheard".into(),
        at: 0,
        event: serde_json::value::RawValue::NULL.to_owned().into(),
    };
    RawEvent::create(envelope, Hash::START)
}
