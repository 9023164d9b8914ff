//! An event that the read model's tables reject is quarantined, and everything else continues
//! (F27). A database that fails temporarily is retried.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::support::{Open, Store};

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_event_that_sql_refuses_is_set_aside_and_all_others_are_shown() {
    let (left, right) = tokio::join!(Store::create(1), Store::create(2));
    let (left, right) = tokio::join!(left.open(), right.open());
    left.join("lobby", "anna").await;
    for text in ["one", "two", "poison", "three", "poison", "four"] {
        left.say("lobby", "anna", text).await;
    }
    refuse(&right, "22000").await;

    right.pull_from(&left).await;
    right.join("lobby", "bert").await;
    right.say("lobby", "bert", "five").await;
    right.timelines.catch_up().await.unwrap();

    assert_eq!(
        right.texts("lobby").await,
        ["one", "two", "three", "four", "five"]
    );
    assert_eq!(set_aside(&right).await, [4, 6]);
    assert_eq!(right.timelines.following().set_aside, 2);
    left.pull_from(&right).await;
    assert_eq!(left.texts("lobby").await.len(), 7);
    assert_eq!(left.log.head().vector, right.log.head().vector);
}

#[tokio::test]
async fn a_database_in_trouble_is_waited_for_and_costs_no_event() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    replica.timelines.catch_up().await.unwrap();
    refuse(&replica, "57014").await;

    replica.say("lobby", "anna", "poison").await;
    let failing = async {
        while replica.timelines.following().failing_since.is_none() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, failing).await.unwrap();
    sqlx::query("DROP TRIGGER refuse ON messages")
        .execute(replica.log.pool())
        .await
        .unwrap();
    replica.timelines.catch_up().await.unwrap();

    assert_eq!(replica.texts("lobby").await, ["poison"]);
    assert_eq!(set_aside(&replica).await, [0; 0]);
    replica.say("lobby", "anna", "on we go").await;
    replica.timelines.catch_up().await.unwrap();
    assert!(replica.timelines.following().failing_since.is_none());
}

/// Makes the messages table reject every message with the text "poison", with this SQLSTATE.
async fn refuse(replica: &Open, code: &str) {
    let sql = format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.text = 'poison' THEN
                 RAISE EXCEPTION 'not this one' USING ERRCODE = '{code}';
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON messages
             FOR EACH ROW EXECUTE FUNCTION refuse()"
    );
    sqlx::raw_sql(&sql)
        .execute(replica.log.pool())
        .await
        .unwrap();
}

async fn set_aside(replica: &Open) -> Vec<i64> {
    sqlx::query_scalar("SELECT arrival FROM quarantine ORDER BY arrival")
        .fetch_all(replica.log.pool())
        .await
        .unwrap()
}
