//! Foreign peers are refused with a reason, and disturb nobody else.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{Cluster, Door, Settings, User, always, eventually, texts};

#[tokio::test]
async fn a_peer_with_a_wrong_key_gets_nothing_and_gives_nothing() {
    stays_apart(|settings| settings.key = "a wrong key, still longer than thirty-two".into()).await;
}

#[tokio::test]
async fn a_peer_of_another_cluster_gets_nothing_and_gives_nothing() {
    stays_apart(|settings| settings.cluster = "somebody-elses".into()).await;
}

#[tokio::test]
async fn whoever_cannot_prove_the_key_is_turned_away_with_a_reason() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.at(1).user("ann").await;
    let internal = cluster.at(1).process().internal;
    let door = Door::at(internal);

    for (method, path) in [
        (Method::POST, "digest"),
        (Method::POST, "events"),
        (Method::GET, "events"),
    ] {
        for token in [None, Some(ann.token.as_str()), Some("junk")] {
            let path = format!("/peer/v1/{path}");
            let mut request = door
                .request(method.clone(), &path)
                .json(&json!({ "replica": 2 }));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let response = request.send().await.expect("an answer");
            let status = response.status().as_u16();
            let body = response.text().await.expect("a body");
            assert!(matches!(status, 401 | 403), "{path}: {status} {body}");
            assert!(body.len() > 10, "{path} gives no reason: {body:?}");
        }
    }
    cluster.sees_itself_whole().await;
}

#[tokio::test]
async fn nothing_is_read_of_what_a_caller_without_the_key_has_to_say() {
    let cluster = Cluster::of(2).await;
    let internal = cluster.at(1).process().internal;

    let foreign = format!("causeway-peer: 00000000:{}\r\n", "0".repeat(64));
    for signature in ["", &foreign] {
        let mut socket = TcpStream::connect(internal).await.expect("a connection");
        let head = format!(
            "POST /peer/v1/digest HTTP/1.1\r\nhost: x\r\n{signature}content-length: 8000000\r\n\r\n"
        );
        socket
            .write_all(head.as_bytes())
            .await
            .expect("it is taken");
        let mut answer = [0; 12];
        let answered = timeout(Duration::from_mins(1), socket.read_exact(&mut answer)).await;

        answered.expect("an answer in time").expect("an answer");
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 401");
    }
    cluster.sees_itself_whole().await;
}

#[tokio::test]
async fn people_are_not_served_on_the_internal_port() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.at(1).user("ann").await;
    let internal = cluster.at(1).process().internal;
    let door = Door::at(internal);

    for path in ["/v1/groups", "/v1/view", "/v1/sessions", "/docs"] {
        let request = door.request(Method::GET, path).bearer_auth(&ann.token);
        let status = request.send().await.expect("an answer").status().as_u16();
        assert!(matches!(status, 401 | 403 | 404 | 405), "{path}: {status}");
    }
}

#[tokio::test]
async fn a_peer_that_answers_with_another_number_is_not_taken_for_the_one_configured() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    cluster.cut(&[1], &[2, 3]);
    fails_to_call_2(&ann[0]).await;
    let third = cluster.at(3).process().internal;
    cluster.link(1, 2).set_target(third);
    cluster.link(1, 2).heal();

    ann[0].says("lobby", "meant for replica 2").await;

    always(
        Duration::from_secs(4),
        "the wrong one being refused",
        async || {
            let view = ann[0].view().await;
            let calls_work = view["peers"][0]["out"] == "ok" && view["peers"][0]["status"] == "up";
            let history = ann[2].history("lobby").await;
            if history.is_empty() && !calls_work {
                Ok(())
            } else {
                Err(view.to_string())
            }
        },
    )
    .await;
    cluster
        .link(1, 2)
        .set_target(cluster.at(2).process().internal);
    cluster.heal();
    cluster.agree(&[1, 2, 3], "lobby", 1).await;
}

#[tokio::test]
async fn a_caller_with_my_own_number_is_refused() {
    let mut cluster = Cluster::prepare(2).await;
    let everybody = cluster.at(1).settings.replicas.clone();
    let two = &mut cluster.at_mut(2).settings;
    two.replica = 1;
    two.replicas = vec![
        everybody[0].clone(),
        (2, "http://127.0.0.1:9".into(), everybody[0].2.clone()),
    ];
    cluster.start().await;
    let real = cluster.at(1).member("ann", "lobby").await;
    let double = cluster.at(2).member("bob", "lobby").await;

    real.says("lobby", "from the real one").await;
    double.says("lobby", "from its double").await;

    always(Duration::from_secs(4), "both staying apart", async || {
        let here = real.history("lobby").await;
        let there = double.history("lobby").await;
        if texts(&here) == ["from the real one"] && texts(&there) == ["from its double"] {
            Ok(())
        } else {
            Err(format!("{:?} and {:?}", texts(&here), texts(&there)))
        }
    })
    .await;
}

#[tokio::test]
async fn a_second_process_with_the_number_of_a_running_peer_is_refused() {
    let mut cluster = Cluster::prepare(3).await;
    let to_one = cluster.at(2).settings.replicas[0].clone();
    let everybody = cluster.at(1).settings.replicas.clone();
    cluster.at_mut(1).settings.replicas = everybody[..2].to_vec();
    cluster.at_mut(2).settings.replicas = cluster.at(2).settings.replicas[..2].to_vec();
    // The third process believes that it is replica 2.
    let clone = &mut cluster.at_mut(3).settings;
    clone.replica = 2;
    clone.replicas = vec![to_one, clone.replicas[2].clone()];
    clone.replicas[1].0 = 2;
    cluster.start().await;
    let one = cluster.at(1).member("ann", "lobby").await;
    let clone = cluster.at(3).member("bob", "lobby").await;

    // Finding out takes a second or two.
    eventually("the second process being told", async || {
        let log = cluster.at(3).process().log();
        let is_told = log.contains("refuse");
        if is_told { Ok(()) } else { Err(log) }
    })
    .await;
    one.says("lobby", "from 1").await;
    clone.says("lobby", "from the second 2").await;

    cluster.agree(&[1, 2], "lobby", 1).await;
    always(
        Duration::from_secs(4),
        "the second process staying outside",
        async || {
            let here = one.history("lobby").await;
            if texts(&here) == ["from 1"] {
                Ok(())
            } else {
                Err(format!("{:?}", texts(&here)))
            }
        },
    )
    .await;
}

async fn fails_to_call_2(user: &User) {
    eventually("calls to replica 2 failing", async || {
        let view = user.view().await;
        let out = &view["peers"][0]["out"];
        if out == "failing" {
            Ok(())
        } else {
            Err(view.to_string())
        }
    })
    .await;
}

/// Replica 3 has settings that make it foreign: no events pass in either direction, all replicas
/// report it, and all go on.
async fn stays_apart(make_strange: impl FnOnce(&mut Settings)) {
    let mut cluster = Cluster::prepare(3).await;
    make_strange(&mut cluster.at_mut(3).settings);
    cluster.start().await;
    let ann = cluster.at(1).member("ann", "lobby").await;
    let bob = cluster.at(3).member("bob", "lobby").await;

    ann.says("lobby", "among friends").await;
    bob.says("lobby", "alone").await;

    cluster.agree(&[1, 2], "lobby", 1).await;
    always(
        Duration::from_secs(4),
        "the stranger staying apart",
        async || {
            let here = ann.history("lobby").await;
            let there = bob.history("lobby").await;
            if texts(&here) == ["among friends"] && texts(&there) == ["alone"] {
                Ok(())
            } else {
                Err(format!("{:?} and {:?}", texts(&here), texts(&there)))
            }
        },
    )
    .await;
    eventually("the refusal being shown", async || {
        let here = ann.view().await;
        let there = bob.view().await;
        let refused = here["peers"][1]["out"] == "failing" && there["peers"][0]["out"] == "failing";
        if refused {
            Ok(())
        } else {
            Err(format!("{here} and {there}"))
        }
    })
    .await;
    let log = cluster.at(3).process().log();
    assert!(log.contains("refuse"), "the reason is in the log:\n{log}");
}
