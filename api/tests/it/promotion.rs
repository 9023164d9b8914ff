//! Another Postgres than before: a promoted standby, a database exchanged under a running server
//! (F32), and sequence numbers after kills (F4).

use std::fs;
use std::path::Path;
use std::process::Command;

use causeway_postgres::Disposable;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::harness::{Cluster, User, eventually, texts};

#[tokio::test]
async fn a_promoted_standby_that_lags_gives_no_number_out_twice() {
    let mut cluster = Cluster::prepare(2).await;
    cluster.at_mut(2).settings.database_url = None;
    cluster.start().await;
    cluster.sees_itself_whole().await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[1].says("lobby", "0 on the standby").await;
    cluster.agree(&[1, 2], "lobby", 1).await;
    cluster.at_mut(2).stop().await;
    let postgres = cluster.at(2).settings.data_dir.join("postgres");
    copy(&postgres.join("cluster"), &postgres.join("standby"));
    cluster.restart(2).await;
    ann[1].says("lobby", "1 not yet on the standby").await;
    cluster.agree(&[1, 2], "lobby", 2).await;

    cluster.at_mut(2).stop().await;
    cluster.isolate(2);
    fs::remove_dir_all(postgres.join("cluster")).expect("it is there");
    fs::rename(postgres.join("standby"), postgres.join("cluster")).expect("it is there");
    promote_at_start(&postgres.join("cluster"));
    cluster.restart(2).await;
    assert_eq!(texts(&ann[1].history("lobby").await), ["0 on the standby"]);
    ann[1].says("lobby", "2 promoted and alone").await;
    cluster.heal();

    cluster.agree(&[1, 2], "lobby", 3).await;
    cluster.show_the_same_bytes("lobby").await;
}

#[tokio::test]
async fn a_promoted_standby_that_seems_to_lack_nothing_goes_on_with_a_new_epoch() {
    let mut cluster = Cluster::prepare(1).await;
    cluster.at_mut(1).settings.database_url = None;
    cluster.start().await;
    let ann = cluster.at(1).member("ann", "lobby").await;
    ann.says("lobby", "0 before").await;
    let before = ann.view().await["self"]["epoch"].clone();
    cluster.at_mut(1).stop().await;
    promote_at_start(&cluster.at(1).settings.data_dir.join("postgres/cluster"));

    cluster.restart(1).await;

    let view = ann.view().await;
    assert_ne!(view["self"]["epoch"], before);
    assert_eq!(view["alarms"][0]["kind"], "new_epoch", "{view}");
    ann.says("lobby", "1 after").await;
    assert_eq!(texts(&ann.history("lobby").await), ["0 before", "1 after"]);
}

#[tokio::test]
async fn a_database_exchanged_under_a_running_server_is_not_written_to_before_it_begins_anew() {
    let mut cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[1].says("lobby", "0 in the backup").await;
    cluster.agree(&[1, 2], "lobby", 1).await;
    cluster.at_mut(2).stop().await;
    let backup = cluster.at(2).backup().await;
    cluster.restart(2).await;
    ann[1].says("lobby", "1 after it").await;
    cluster.agree(&[1, 2], "lobby", 2).await;
    let former = ann[1].view().await["self"]["epoch"].clone();

    let live = cluster
        .at(2)
        .settings
        .database_url
        .clone()
        .expect("it has one");
    exchange(&live, &backup.url()).await;

    goes_on_by_itself(&cluster, &ann[1], &former).await;
}

#[tokio::test]
async fn a_dump_put_back_under_an_open_session_is_noticed_by_itself() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[1].says("lobby", "0 in the dump").await;
    cluster.agree(&[1, 2], "lobby", 1).await;
    let url = cluster.at(2).database_url();
    let mut connection = PgConnection::connect(&url).await.expect("it answers");
    let dumped: i64 = sqlx::query_scalar("SELECT max(arrival) FROM events")
        .fetch_one(&mut connection)
        .await
        .expect("there are events");
    ann[1].says("lobby", "1 after it").await;
    cluster.agree(&[1, 2], "lobby", 2).await;
    let former = ann[1].view().await["self"]["epoch"].clone();

    // The read model stays ahead of the log.
    sqlx::query("DELETE FROM events WHERE arrival > $1")
        .bind(dumped)
        .execute(&mut connection)
        .await
        .expect("it is not locked");

    goes_on_by_itself(&cluster, &ann[1], &former).await;
}

#[tokio::test]
async fn a_dump_from_before_the_start_is_put_back_under_readers_and_nothing_is_set_aside() {
    let mut cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[1].says("lobby", "0 in the dump").await;
    cluster.agree(&[1, 2], "lobby", 1).await;
    let url = cluster.at(2).database_url();
    let mut connection = PgConnection::connect(&url).await.expect("it answers");
    let tables = [
        "groups",
        "members",
        "messages",
        "likes",
        "feed",
        "quarantine",
    ];
    let tables = tables
        .into_iter()
        .chain(["timeline_checkpoint", "events", "identity"]);
    for table in tables.clone() {
        let dump = format!("CREATE TABLE dump_of_{table} AS TABLE {table}");
        let dumped = sqlx::raw_sql(&dump).execute(&mut connection).await;
        dumped.expect("it is there");
    }
    ann[1].says("lobby", "1 after it").await;
    cluster.agree(&[1, 2], "lobby", 2).await;
    // Its earlier writes are no longer cached.
    cluster.roll(2).await;
    let ann = [
        cluster.at(1).user("ann").await,
        cluster.at(2).user("ann").await,
    ];
    let former = ann[1].view().await["self"]["epoch"].clone();

    let restored = tables.map(|table| {
        format!("TRUNCATE {table}; INSERT INTO {table} SELECT * FROM dump_of_{table};")
    });
    let restored = format!("BEGIN; {} COMMIT", restored.collect::<String>());
    sqlx::raw_sql(&restored)
        .execute(&mut connection)
        .await
        .expect("it is not locked");
    drop(ann[1].get("/v1/groups/lobby/messages").await);

    goes_on_by_itself(&cluster, &ann[1], &former).await;
    let door = &cluster.at(2).door;
    let metrics = door.get("/metrics").await.body;
    assert!(metrics.contains("causeway_events_set_aside 0"), "{metrics}");
    let log = cluster.at(2).process().log();
    assert!(!log.contains("did not close in time"), "{log}");
}

/// Asserts that acknowledged messages are back, and that new ones are of a new epoch.
async fn goes_on_by_itself(cluster: &Cluster, ann: &User, former: &Value) {
    let text = json!({ "text": "2 said until it is taken" });
    let path = "/v1/groups/lobby/messages";
    eventually("a write being taken", async || {
        let request = ann.request(Method::POST, path).json(&text);
        let request = request.header("Idempotency-Key", "key");
        match ann.tries(request).await {
            Ok(answer) if answer.status == 201 => Ok(()),
            Ok(answer) => Err(answer.body),
            Err(failure) => Err(failure),
        }
    })
    .await;

    let history = cluster.agree(&[1, 2], "lobby", 3).await;
    assert!(texts(&history).is_sorted(), "{:?}", texts(&history));
    assert_ne!(ann.view().await["self"]["epoch"], *former);
    cluster.show_the_same_bytes("lobby").await;
}

#[tokio::test]
async fn numbers_have_no_hole_wherever_a_writer_was_killed() {
    let mut cluster = Cluster::of(1).await;
    let ann = cluster
        .member_everywhere("ann", "lobby")
        .await
        .swap_remove(0);
    let mut written = 0;
    for life in 0..4 {
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let ann = ann.clone();
                tokio::spawn(async move {
                    let path = "/v1/groups/lobby/messages";
                    for round in 0.. {
                        let body =
                            serde_json::json!({ "text": format!("{life} {writer} {round}") });
                        let request = ann.request(reqwest::Method::POST, path).json(&body);
                        let answer = ann.tries(request).await;
                        if !answer.is_ok_and(|answer| answer.status == 201) {
                            return;
                        }
                    }
                })
            })
            .collect();
        eventually("some messages being written", async || {
            let count = ann.history("lobby").await.len();
            if count > written + 20 {
                Ok(())
            } else {
                Err(count.to_string())
            }
        })
        .await;
        cluster.kill9(1);
        for writer in writers {
            writer.await.expect("a writer ends well");
        }
        cluster.restart(1).await;
        written = ann.history("lobby").await.len();
    }

    let url = cluster
        .at(1)
        .settings
        .database_url
        .clone()
        .expect("it has one");
    let mut database = PgConnection::connect(&url).await.expect("Postgres answers");
    let counted: Vec<(i64, i64, i64)> =
        sqlx::query_as("SELECT count(*), min(seq), max(seq) FROM events GROUP BY replica, epoch")
            .fetch_all(&mut database)
            .await
            .expect("it is read");
    assert_eq!(counted.len(), 1, "a kill is no reason for a new epoch");
    let (count, first, last) = counted[0];
    assert_eq!((first, last), (1, count));
}

/// Makes the Postgres of a folder end a recovery at its next start, as a promoted standby does: it
/// continues on a new timeline with what it has.
fn promote_at_start(folder: &Path) {
    let file = folder.join("postgresql.auto.conf");
    let mut settings = fs::read_to_string(&file).unwrap_or_default();
    settings += "\nrestore_command = 'false'\n";
    fs::write(&file, settings).expect("it can be written");
    copy(&file, &folder.join("recovery.signal"));
}

/// Copies with owner and permissions.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(
        copied.is_ok_and(|status| status.success()),
        "{} is copied",
        from.display()
    );
}

/// Replaces a database by another one, in spite of its connections.
async fn exchange(live: &str, other: &str) {
    let name = |url: &str| {
        let path = url.split('?').next().unwrap_or_default();
        path.rsplit('/').next().expect("a name").to_owned()
    };
    let (live, other) = (name(live), name(other));
    let url = Disposable::shared().url();
    let mut admin = PgConnection::connect(&url).await.expect("Postgres answers");
    let orders = [
        format!("ALTER DATABASE {live} WITH ALLOW_CONNECTIONS false"),
        format!(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{live}'"
        ),
        format!("DROP DATABASE {live} WITH (FORCE)"),
        format!("ALTER DATABASE {other} RENAME TO {live}"),
    ];
    for order in orders {
        sqlx::raw_sql(&order)
            .execute(&mut admin)
            .await
            .expect(&order);
    }
}
