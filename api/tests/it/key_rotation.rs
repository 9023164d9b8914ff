//! Rotation of the cluster key in the three rounds that `docs/OPERATIONS.md` describes: tokens, cursors
//! and calls between replicas stay valid.

use reqwest::Method;

use crate::harness::{Cluster, User};

const NEW: &str = "the next key of this cluster, long enough";

#[tokio::test]
async fn a_cluster_goes_over_to_a_new_key_and_nobody_has_to_log_in_again() {
    let mut cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let old = cluster.at(1).settings.key.clone();
    let first_cursor = cursor(&ann[0]).await;
    let mut count = 0;

    for (key, previous) in [(&*old, Some(NEW)), (NEW, Some(&*old))] {
        for number in [1, 2] {
            let settings = &mut cluster.at_mut(number).settings;
            settings.key = key.into();
            settings.more = previous.map_or(String::new(), previous_key);
            cluster.roll(number).await;
            for from in [1, 2] {
                let fresh = cluster.at(from).user("ann").await;
                for at in [1, 2] {
                    ann[0].at(cluster.at(at)).says("lobby", "old token").await;
                    fresh.at(cluster.at(at)).says("lobby", "fresh token").await;
                    count += 2;
                    for cursor in [&first_cursor, &cursor(&fresh).await] {
                        let reader = ann[0].at(cluster.at(at));
                        let mut stream = reader.resumes("lobby", cursor).await;
                        let first = stream.next_of(&["reset", "message", "caught_up"]).await;
                        assert_ne!(first.event, "reset");
                    }
                }
            }
            cluster.agree(&[1, 2], "lobby", count).await;
            cluster.sees_itself_whole().await;
        }
    }

    let last_cursor = cursor(&cluster.at(2).user("ann").await).await;
    for number in [1, 2] {
        cluster.at_mut(number).settings.more.clear();
        cluster.roll(number).await;
    }
    let fresh = cluster.at(1).user("ann").await;
    fresh.says("lobby", "with the new key alone").await;
    cluster.agree(&[1, 2], "lobby", count + 1).await;
    for at in [1, 2] {
        let refused = ann[0].at(cluster.at(at)).get("/v1/view").await;
        refused.refused(401, "unauthenticated");
        let reader = fresh.at(cluster.at(at));
        let mut stream = reader.resumes("lobby", &first_cursor).await;
        assert_eq!(stream.next_of(&["reset", "message"]).await.event, "reset");
        let mut stream = reader.resumes("lobby", &last_cursor).await;
        assert_eq!(stream.next_of(&["reset", "message"]).await.event, "message");
        let log = cluster.at(at).process().log();
        assert!(!log.contains("the cluster key differs"), "{log}");
    }
}

async fn cursor(user: &User) -> String {
    let request = user.request(Method::GET, "/v1/groups/lobby");
    let snapshot = user.tries(request).await.expect("an answer").with(200);
    snapshot["cursor"].as_str().expect("a text").to_owned()
}

fn previous_key(key: &str) -> String {
    format!("previous_cluster_key = {key:?}\n")
}
