//! Many replicas return at the same moment (F26): nothing is sent twice, and clients that write
//! meanwhile notice nothing (F24).

use std::cell::Cell;

use crate::harness::{Cluster, Replica, User, all_at_once, eventually, ids};

/// How many messages each replica writes while it is isolated.
const WRITTEN: [usize; 5] = [400, 400, 400, 400, 3000];
/// How many clients write at one replica at the same time.
const CLIENTS: usize = 8;

#[tokio::test]
async fn four_of_five_that_come_back_at_once_get_everything_once_while_others_write() {
    let cluster = Cluster::of(5).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let common = events(cluster.at(1)).await;
    for number in cluster.numbers() {
        cluster.isolate(number);
    }
    all_at_once(ann.iter().zip(WRITTEN).map(|(ann, n)| says_many(ann, n))).await;
    let missing = 4 * WRITTEN.iter().sum::<usize>();
    let sent_before = sent(&cluster).await;

    cluster.heal();
    let has_healed = Cell::new(false);
    let writing = async {
        let mut written = 0;
        while !has_healed.get() {
            ann[4].says("lobby", &format!("meanwhile {written}")).await;
            written += 1;
        }
        written
    };
    let healing = async {
        holds(&cluster, common + WRITTEN.iter().sum::<usize>()).await;
        has_healed.set(true);
    };
    let (meanwhile, ()) = tokio::join!(writing, healing);
    let written = WRITTEN.iter().sum::<usize>() + meanwhile;
    holds(&cluster, common + written).await;

    let moved = sent(&cluster).await - sent_before;
    let needed = missing + 4 * meanwhile;
    assert!(moved >= needed, "{moved} of {needed} are counted");
    // Beside new posts a batch is sent twice now and then: 1.04 was measured. The defect that this
    // catches sends 1.3 and more.
    assert!(
        moved * 10 <= needed * 12,
        "{moved} events were sent where {needed} were missing"
    );
    let history = cluster.agree(&[1, 2, 3, 4, 5], "lobby", written).await;
    let mut once = ids(&history);
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), written);
}

async fn says_many(ann: &User, count: usize) {
    let client = async |client: usize| {
        for number in (client..count).step_by(CLIENTS) {
            ann.says("lobby", &format!("away {number}")).await;
        }
    };
    all_at_once((0..CLIENTS).map(client)).await;
}

/// Waits until every replica holds at least so many events.
async fn holds(cluster: &Cluster, count: usize) {
    for number in cluster.numbers() {
        eventually("everything being held", async || {
            let held = events(cluster.at(number)).await;
            if held >= count {
                Ok(())
            } else {
                Err(format!("replica {number} holds {held} of {count} events"))
            }
        })
        .await;
    }
}

async fn events(replica: &Replica) -> usize {
    replica.metric("causeway_events ").await
}

/// Returns how many events all replicas have sent to others.
async fn sent(cluster: &Cluster) -> usize {
    let of_one = |number: &u16| {
        let replica = cluster.at(*number);
        replica.metric("causeway_peer_events_sent_total{")
    };
    let all = all_at_once(cluster.numbers().iter().map(of_one)).await;
    all.iter().sum()
}
