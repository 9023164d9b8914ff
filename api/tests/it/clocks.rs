//! A wrong clock is reported, and does not drag other clocks along (F15, F16).

use std::fmt::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::harness::{Cluster, User, eventually, texts};

const HOUR_MS: i64 = 3_600_000;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;

#[tokio::test]
async fn a_clock_that_is_off_is_told_of_until_it_is_right() {
    let mut cluster = Cluster::prepare(3).await;
    let clock = give_a_clock(&mut cluster, 2, -7_000);
    cluster.start().await;
    let ann = cluster.at(1).user("ann").await;

    eventually("an alarm for replica 2 alone", async || {
        let alarms = clock_alarms(&ann).await;
        match &alarms[..] {
            [(2, detail)] if detail.contains("s behind") => Ok(()),
            _ => Err(format!("{alarms:?}")),
        }
    })
    .await;
    let bob = cluster.at(2).user("bob").await;
    eventually("replica 2 seeing that all others differ", async || {
        let replicas: Vec<u64> = clock_alarms(&bob)
            .await
            .into_iter()
            .map(|it| it.0)
            .collect();
        if replicas == [1, 3] {
            Ok(())
        } else {
            Err(format!("{replicas:?}"))
        }
    })
    .await;
    let metrics = cluster.at(1).door.get("/metrics").await.body;
    assert!(
        metrics.contains("causeway_alarms{kind=\"clock\"} 1"),
        "{metrics}"
    );
    assert!(
        cluster
            .at(1)
            .process()
            .log()
            .contains("the clock of replica 2")
    );

    std::fs::write(clock, "0").expect("it can be written");

    eventually("the alarm having passed", async || {
        let alarms = clock_alarms(&ann).await;
        if alarms.is_empty() {
            Ok(())
        } else {
            Err(format!("{alarms:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn a_clock_a_year_ahead_at_the_start_or_later_drags_nobody_along() {
    let mut cluster = Cluster::prepare(3).await;
    let clocks = [
        give_a_clock(&mut cluster, 1, 0),
        give_a_clock(&mut cluster, 2, 0),
    ];
    cluster.start().await;
    cluster.sees_itself_whole().await;
    cluster.member_everywhere("ann", "lobby").await;

    std::fs::write(&clocks[0], YEAR_MS.to_string()).expect("it can be written");
    sees_wrong_clocks(&cluster, 1, 2).await;
    let jumped = says(&cluster, 1, "0 from a clock that jumped").await;
    // Of three clocks two wrong ones would decide the median.
    std::fs::write(&clocks[0], "0").expect("it can be written");
    sees_wrong_clocks(&cluster, 1, 0).await;
    cluster.at_mut(2).stop().await;
    std::fs::write(&clocks[1], YEAR_MS.to_string()).expect("it can be written");
    cluster.restart(2).await;
    let began = says(&cluster, 2, "1 from a clock that began wrong").await;
    cluster.agree(&[1, 2, 3], "lobby", 2).await;
    says(&cluster, 3, "2 from a clock that is right").await;

    let history = cluster.agree(&[1, 2, 3], "lobby", 3).await;
    assert!(texts(&history).is_sorted(), "{:?}", texts(&history));
    for message in &history {
        let ahead_ms = read_at(message) - now_ms();
        assert!(ahead_ms < 2 * HOUR_MS, "{ahead_ms} ms ahead: {message}");
    }
    for message in [jumped, began] {
        let year = message["received_at"]
            .as_str()
            .expect("a time")
            .split('-')
            .next();
        let year: i64 = year.and_then(|it| it.parse().ok()).expect("a year");
        assert!(
            year > 1970 + now_ms() / YEAR_MS,
            "people see the wall: {message}"
        );
    }
    cluster.show_the_same_bytes("lobby").await;
}

/// Gives a replica a clock whose error is the content of a file.
fn give_a_clock(cluster: &mut Cluster, number: u16, offset_ms: i64) -> PathBuf {
    let settings = &mut cluster.at_mut(number).settings;
    let folder = settings.data_dir.parent().expect("a folder in another");
    let file = folder.join("clock-offset");
    std::fs::write(&file, offset_ms.to_string()).expect("it can be written");
    writeln!(settings.more, "clock_offset_file = \"{}\"", file.display()).expect("memory");
    file
}

/// Posts as a member, with a fresh token: no token outlives a year.
async fn says(cluster: &Cluster, number: u16, text: &str) -> Value {
    let ann = cluster.at(number).user("ann").await;
    ann.says("lobby", text).await
}

/// Waits until a replica reports so many wrong clocks.
async fn sees_wrong_clocks(cluster: &Cluster, number: u16, count: usize) {
    eventually("clocks seen wrong", async || {
        let alarms = clock_alarms(&cluster.at(number).user("ann").await).await;
        if alarms.len() == count {
            Ok(())
        } else {
            Err(format!("{alarms:?}"))
        }
    })
    .await;
}

/// Returns the replicas whose clocks are reported as wrong, with the report.
async fn clock_alarms(user: &User) -> Vec<(u64, String)> {
    let view = user.view().await;
    let alarms = view["alarms"].as_array().expect("a list");
    let clocks = alarms.iter().filter(|alarm| alarm["kind"] == "clock");
    clocks
        .map(|alarm| {
            let replica = alarm["replica"].as_u64().expect("a number");
            (
                replica,
                alarm["detail"].as_str().expect("a text").to_owned(),
            )
        })
        .collect()
}

/// The reading of the clock that orders a message, in milliseconds since 1970.
fn read_at(message: &Value) -> i64 {
    let position = message["position"].as_str().expect("a position");
    let reading = u64::from_str_radix(&position[..16], 16).expect("hexadecimal");
    i64::try_from(reading >> 16).expect("48 bits")
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_millis()).expect("not that late")
}
