//! The tables of an older version are migrated with all their rows; those of a newer version are
//! left unchanged.

use std::borrow::Cow;

use causeway_store::log::{Log, OpenError};
use futures_util::TryStreamExt as _;
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};

use crate::support::Store;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_each_older_version_is_shown_whole_after_an_upgrade() {
    let newest = Store::create(1).await;
    let written = newest.open().await;
    written.join("lobby", "anna").await;
    for number in 0..3 {
        written.say("lobby", "anna", &number.to_string()).await;
    }
    written.close().await;
    let rows = copied_out(&newest).await;
    // The first two migrations created the log and the identity.
    for count in 2..=MIGRATIONS.migrations.len() {
        let older = newest.with_a_fresh_database().await;
        let mut database = connect(&older).await;
        first(count).run(&mut database).await.unwrap();
        let mut into = database
            .copy_in_raw("COPY events FROM STDIN")
            .await
            .unwrap();
        into.send(rows.as_slice()).await.unwrap();
        into.finish().await.unwrap();

        let upgraded = older.open().await;

        upgraded.timelines.catch_up().await.unwrap();
        let shown = upgraded.texts("lobby").await;
        assert_eq!(shown, ["0", "1", "2"], "from {count} migrations on");
        upgraded.close().await;
    }
}

#[tokio::test]
async fn the_tables_of_a_newer_version_are_refused_and_left_as_they_are() {
    let store = Store::create(1).await;
    store.open().await.close().await;
    let mut database = connect(&store).await;
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (20990101000000, 'of a newer version', true, 'x', 1)";
    sqlx::query(newer).execute(&mut database).await.unwrap();

    let refused = Log::open(store.options.clone())
        .await
        .map(drop)
        .unwrap_err();

    assert!(matches!(
        refused,
        OpenError::NewerSchema(20_990_101_000_000)
    ));
    assert!(refused.to_string().contains("a newer version"), "{refused}");
}

/// The first `count` migrations.
fn first(count: usize) -> Migrator {
    Migrator {
        migrations: Cow::Owned(MIGRATIONS.migrations[..count].to_vec()),
        ..Migrator::DEFAULT
    }
}

async fn connect(store: &Store) -> PgConnection {
    PgConnection::connect(&store.options.database_url)
        .await
        .unwrap()
}

async fn copied_out(store: &Store) -> Vec<u8> {
    let mut database = connect(store).await;
    let rows = database
        .copy_out_raw("COPY events TO STDOUT")
        .await
        .unwrap();
    rows.try_collect::<Vec<_>>().await.unwrap().concat()
}
