//! A database that is down or does not answer: writes are refused with a retry, calls that need no
//! database are answered, streams stay open, and everything recovers by itself.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::harness::{Passage, Replica, User, Way, always, eventually, texts};

/// A client must get a response before it gives up itself.
const BOUND: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_database_that_is_away_is_waited_for_and_nothing_is_lost_or_twice() {
    outage(Passage::Shut, Duration::from_mins(1)).await;
}

#[tokio::test]
async fn a_database_that_accepts_and_never_answers_is_as_good_as_away() {
    outage(Passage::Hole, Duration::ZERO).await;
}

async fn outage(passage: Passage, for_long: Duration) {
    let mut replica = Replica::prepare().await;
    let url = replica.settings.database_url.clone().expect("it has one");
    let way = Way::to(&url);
    replica.settings.database_url = Some(way.url(&url));
    replica.restart().await;
    let ann = replica.member("ann", "lobby").await;
    ann.says("lobby", "0 before").await;
    let mut stream = ann.listens("lobby").await;
    stream.catches_up().await;

    way.set(passage);
    let posts = (1..=8).map(|number| post(&ann, number));
    for answer in crate::harness::all_at_once(posts).await {
        answer.refused(503, "unavailable");
    }
    assert_eq!(replica.door.get("/healthz").await.status, 200);
    let answer = replica.door.get("/readyz").await;
    answer.refused(503, "unavailable");
    assert!(answer.body.contains("the database does not answer"));
    ann.get("/v1/server").await.with(200);
    ann.view().await;
    let began = Instant::now();
    ann.get("/v1/groups").await.refused(503, "unavailable");
    assert!(began.elapsed() < BOUND);
    always(for_long, "writes being told to come back", async || {
        let answer = post(&ann, 1).await;
        assert!(answer.header("retry-after").is_some());
        answer.refused(503, "unavailable");
        ann.get("/v1/server").await.with(200);
        Ok(())
    })
    .await;
    way.set(Passage::Open);

    for number in 1..=8 {
        eventually("writing again", async || {
            let answer = post(&ann, number).await;
            match answer.status {
                200 | 201 => Ok(()),
                _ => Err(answer.body),
            }
        })
        .await;
    }
    let history = ann.history("lobby").await;
    let mut shown = texts(&history);
    shown.sort_unstable();
    let expected: Vec<String> = std::iter::once("0 before".to_owned())
        .chain((1..=8).map(text))
        .collect();
    assert_eq!(shown, expected);
    let mut streamed = Vec::new();
    while streamed.len() < 8 {
        let frame = stream.next_of(&["message"]).await;
        streamed.push(frame.data["text"].as_str().expect("a text").to_owned());
    }
    streamed.sort_unstable();
    assert_eq!(streamed, expected[1..]);
    eventually("being ready again", async || {
        let answer = replica.door.get("/readyz").await;
        if answer.status == 200 {
            Ok(())
        } else {
            Err(answer.body)
        }
    })
    .await;
}

/// Posts a message with its own key; the response arrives within the bound.
async fn post(ann: &User, number: u32) -> crate::harness::Answer {
    let began = Instant::now();
    let request = ann
        .request(Method::POST, "/v1/groups/lobby/messages")
        .header("Idempotency-Key", text(number))
        .json(&json!({ "text": text(number) }));
    let answer = ann.tries(request).await.expect("the server answers");
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    answer
}

fn text(number: u32) -> String {
    format!("{number} again and again")
}

#[tokio::test]
async fn a_replica_whose_read_model_does_not_follow_is_not_ready_and_says_so() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let mut database = PgConnection::connect(&replica.database_url())
        .await
        .unwrap();

    let away = "ALTER TABLE messages RENAME TO messages_away";
    sqlx::raw_sql(away).execute(&mut database).await.unwrap();
    let path = "/v1/groups/lobby/messages";
    ann.post(path, &json!({"text": "not shown yet"})).await;
    eventually("to be told why it is not ready", async || {
        let answer = replica.door.get("/readyz").await;
        let is_told = answer.body.contains("the read model cannot follow the log");
        match answer.status {
            503 if is_told => Ok(()),
            status => Err(format!("{status} {}", answer.body)),
        }
    })
    .await;

    let back = "ALTER TABLE messages_away RENAME TO messages";
    sqlx::raw_sql(back).execute(&mut database).await.unwrap();
    is_ready_again(&replica).await;
    assert_eq!(texts(&ann.history("lobby").await), ["not shown yet"]);
}

#[tokio::test]
async fn a_replica_whose_writer_has_no_session_is_not_ready_and_says_so() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let mut database = PgConnection::connect(&replica.database_url())
        .await
        .unwrap();
    let lock: i64 = sqlx::query_scalar(
        "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks
         JOIN pg_database d ON d.oid = pg_locks.database
         WHERE locktype = 'advisory' AND d.datname = current_database()",
    )
    .fetch_one(&mut database)
    .await
    .unwrap();

    // Another session takes the lock of the writer; everybody else goes on reading.
    eventually("the lock", async || {
        sqlx::query(
            "SELECT pg_terminate_backend(l.pid) FROM pg_locks l
             JOIN pg_database d ON d.oid = l.database
             WHERE l.locktype = 'advisory' AND d.datname = current_database()",
        )
        .execute(&mut database)
        .await
        .map_err(|failure| failure.to_string())?;
        let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(lock)
            .fetch_one(&mut database)
            .await
            .map_err(|failure| failure.to_string())?;
        if is_ours { Ok(()) } else { Err(String::new()) }
    })
    .await;
    takes_no_writes(&replica, "another process uses the database").await;
    assert_eq!(texts(&ann.history("lobby").await), [""; 0]);

    database.close().await.unwrap();
    is_ready_again(&replica).await;
    ann.says("lobby", "taken again").await;
}

#[tokio::test]
async fn a_replica_whose_database_takes_no_writes_is_not_ready_and_says_so() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let mut database = PgConnection::connect(&replica.database_url())
        .await
        .unwrap();
    let refusal = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
                   AS $$ BEGIN RAISE 'nothing is written here' USING ERRCODE = '25006'; END $$;
                   CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON identity
                   FOR EACH STATEMENT EXECUTE FUNCTION refuse()";
    let other_sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                          WHERE datname = current_database() AND pid <> pg_backend_pid()";

    for sql in [refusal, other_sessions] {
        sqlx::raw_sql(sql).execute(&mut database).await.unwrap();
    }
    takes_no_writes(&replica, "nothing is written here").await;

    let taken_back = "DROP TRIGGER refuse ON identity";
    sqlx::raw_sql(taken_back)
        .execute(&mut database)
        .await
        .unwrap();
    is_ready_again(&replica).await;
    ann.says("lobby", "taken again").await;
}

/// Waits until the replica reports that nothing can be written, and why.
async fn takes_no_writes(replica: &Replica, why: &str) {
    eventually("to be told why it is not ready", async || {
        let answer = replica.door.get("/readyz").await;
        let is_told = answer.body.contains(why);
        let is_counted = replica.metric("causeway_writes_stopped ").await == 1;
        match answer.status {
            503 if is_told && is_counted => Ok(()),
            status => Err(format!("{status} {}", answer.body)),
        }
    })
    .await;
}

async fn is_ready_again(replica: &Replica) {
    eventually("to be ready again", async || {
        let answer = replica.door.get("/readyz").await;
        match answer.status {
            200 => Ok(()),
            _ => Err(answer.body),
        }
    })
    .await;
}
