//! Postgres sorts like the comparator, for every collation of the database (F17).

use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Epoch, ReplicaId};
use causeway_domain::names::UserId;
use causeway_domain::stamp::OrderKey;

use crate::support::{Store, name};

#[tokio::test]
async fn postgres_sorts_positions_like_the_order_key() {
    let store = Store::create_sorting_for_people(1).await;
    let replica = store.open().await;
    let mut connection = replica.log.pool().acquire().await.unwrap();
    let mut keys = keys();
    let unsorted: Vec<String> = keys.iter().map(OrderKey::to_string).collect();

    // The column of the table itself, so that the test uses its collation.
    sqlx::raw_sql("CREATE TEMPORARY TABLE places AS SELECT position FROM messages")
        .execute(&mut *connection)
        .await
        .unwrap();
    sqlx::query("INSERT INTO places SELECT * FROM unnest($1::text[])")
        .bind(unsorted)
        .execute(&mut *connection)
        .await
        .unwrap();
    let sorted: Vec<String> = sqlx::query_scalar("SELECT position FROM places ORDER BY position")
        .fetch_all(&mut *connection)
        .await
        .unwrap();

    keys.sort_unstable();
    let expected: Vec<String> = keys.iter().map(OrderKey::to_string).collect();
    assert_eq!(sorted, expected);
}

#[tokio::test]
async fn names_are_sorted_alike_in_a_database_that_sorts_for_people() {
    const NAMES: [&str; 6] = ["a-b", "a.b", "a1", "a_b", "ab", "äb"];
    let store = Store::create_sorting_for_people(1).await;
    let replica = store.open().await;
    for i in [3, 0, 5, 2, 4, 1] {
        replica.join("lobby", NAMES[i]).await;
        replica.join(NAMES[i], "anna").await;
    }
    replica.timelines.catch_up().await.unwrap();

    let (mut members, mut groups) = (Vec::new(), Vec::new());
    while let Some(more) = {
        let after = members.last().cloned().unwrap_or_default();
        let page = replica.timelines.members(name("lobby"), after, 1).await;
        page.unwrap().unwrap().members.pop()
    } {
        members.push(more.name);
    }
    while let Some(more) = {
        let after = groups.last().cloned().unwrap_or_default();
        let page = replica
            .timelines
            .groups(after, 1, UserId("nobody".into()), false);
        page.await.unwrap().groups.pop()
    } {
        groups.push(more.name);
    }

    assert_eq!(members, NAMES);
    groups.retain(|group| group != "lobby");
    assert_eq!(groups, NAMES);
}

/// Keys with digits and letters, zero and maximum fields, unsorted.
fn keys() -> Vec<OrderKey> {
    let mut keys = Vec::new();
    for seq in [1, 9, 10, 15, 16, u64::MAX] {
        for epoch in [0, 9, 0xa, 0xff, 0x100, u32::MAX] {
            for replica in [1, 9, 10, 255, 256, u16::MAX] {
                for hlc in [0, 9, 10, 0xffff, 0x1_0000, Hlc::MAX.get()] {
                    keys.push(OrderKey {
                        hlc: Hlc::new(hlc).unwrap(),
                        replica: ReplicaId::new(replica).unwrap(),
                        epoch: Epoch(epoch),
                        seq,
                    });
                }
            }
        }
    }
    keys
}
