//! Audits the rows of a log: these invariants hold after any failure of the writer.

use std::collections::BTreeMap;

use causeway_domain::chain::Hash;
use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::{Epoch, Origin, ReplicaId};
use causeway_domain::version_vector::VersionVector;
use sqlx::Row;

use crate::support::Open;

/// Checks every number of every row, recomputes the chains, compares them with the head, and
/// returns the events in order of offset.
pub async fn audit(replica: &Open) -> Vec<RawEvent> {
    let rows = sqlx::query(
        "SELECT arrival, aggregate_type, aggregate_id, sequence, replica, epoch, seq, hlc,
             payload::text, hash
         FROM events ORDER BY arrival",
    )
    .fetch_all(replica.log.pool())
    .await
    .unwrap();
    let mut sequences: BTreeMap<(String, String), i64> = BTreeMap::new();
    let mut hashes: BTreeMap<Origin, Hash> = BTreeMap::new();
    let mut vector = VersionVector::default();
    let mut events = Vec::new();
    for (row, offset) in rows.iter().zip(1..) {
        assert_eq!(row.get::<i64, _>(0), offset, "offsets have no gaps");
        let sequence = sequences.entry((row.get(1), row.get(2))).or_default();
        *sequence += 1;
        assert_eq!(row.get::<i64, _>(3), *sequence, "sequences have no gaps");

        let origin = Origin {
            replica: ReplicaId::new(row.get::<i32, _>(4).try_into().unwrap()).unwrap(),
            epoch: Epoch(row.get::<i64, _>(5).try_into().unwrap()),
        };
        let bytes: String = row.get(8);
        let chain = hashes.entry(origin).or_insert(Hash::START);
        *chain = chain.then(bytes.as_bytes());
        assert_eq!(row.get::<Vec<u8>, _>(9), chain.0, "the chain is whole");

        let event = RawEvent::parse(bytes.into(), *chain).unwrap();
        let stamp = &event.envelope.stamp;
        assert_eq!(stamp.origin, origin);
        assert_eq!(i64::try_from(stamp.seq).unwrap(), row.get::<i64, _>(6));
        assert_eq!(
            i64::try_from(stamp.hlc.get()).unwrap(),
            row.get::<i64, _>(7)
        );
        assert!(vector.covers_all(&stamp.past), "causes come first");
        assert!(vector.is_next(stamp.dot()), "seqs have no gaps");
        vector.record(stamp.dot());
        events.push(event);
    }
    let head = replica.log.head();
    let highest = events.iter().map(|event| event.envelope.stamp.hlc).max();
    assert_eq!(head.offset, i64::try_from(events.len()).unwrap());
    assert_eq!(head.vector, vector);
    assert_eq!(head.hashes, hashes);
    assert_eq!(head.highest, highest.unwrap_or_default());
    events
}
