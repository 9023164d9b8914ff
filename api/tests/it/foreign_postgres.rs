//! A Postgres that somebody else has set up: with the settings of its packages, or with hostile
//! ones. Everything works on it as on our own, and costs no more.

use causeway_postgres::Disposable;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::harness::{Cluster, run_with, texts};

/// What a role or a database may have set, and what would break or slow a session that took it over.
const HOSTILE: &[(&str, &str)] = &[
    ("statement_timeout", "'200ms'"),
    ("lock_timeout", "'1ms'"),
    ("idle_session_timeout", "'3s'"),
    ("idle_in_transaction_session_timeout", "'1ms'"),
    ("default_transaction_isolation", "serializable"),
    ("default_transaction_read_only", "on"),
    ("default_transaction_deferrable", "on"),
    ("exit_on_error", "on"),
    ("search_path", "'nowhere'"),
    ("row_security", "on"),
    ("default_tablespace", "'nowhere'"),
    ("bytea_output", "escape"),
    ("DateStyle", "'SQL, DMY'"),
    ("IntervalStyle", "sql_standard"),
    ("TimeZone", "'Asia/Kathmandu'"),
    ("standard_conforming_strings", "off"),
    ("transform_null_equals", "on"),
    ("array_nulls", "off"),
    ("client_encoding", "'LATIN1'"),
    ("extra_float_digits", "-15"),
    ("plan_cache_mode", "force_custom_plan"),
    ("enable_indexscan", "off"),
    ("enable_indexonlyscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_nestloop", "off"),
    ("enable_sort", "off"),
    ("jit", "on"),
    ("jit_above_cost", "0"),
    ("max_parallel_workers_per_gather", "8"),
    ("parallel_setup_cost", "0"),
    ("force_parallel_mode", "on"),
    ("work_mem", "'64kB'"),
    ("temp_buffers", "'800kB'"),
];

#[tokio::test]
async fn everything_works_on_a_postgres_as_its_packages_set_it_up_and_nothing_is_compiled() {
    let postgres = stock(&[]).await;

    works_on(&postgres, str::to_owned).await;
}

#[tokio::test]
async fn everything_works_as_a_role_whose_settings_are_hostile_in_a_database_with_a_collation() {
    let postgres = stock(&[
        "--encoding=UTF8",
        "--locale-provider=icu",
        "--icu-locale=sv-u-co-search",
    ])
    .await;
    let mut admin = PgConnection::connect(&postgres.url())
        .await
        .expect("it runs");
    for (setting, value) in HOSTILE {
        let set = format!("ALTER ROLE chat SET {setting} = {value}");
        order(&mut admin, &set).await;
    }

    works_on(&postgres, str::to_owned).await;
}

/// Posts, reads, streams, a heal and a rebuild on two replicas whose databases are in this Postgres,
/// as a role that owns them and nothing else. The servers reach a database through another URL.
pub async fn works_on(postgres: &Disposable, through: impl Fn(&str) -> String) {
    let mut cluster = Cluster::prepare(2).await;
    for number in 1..=2 {
        let url = database(postgres, number).await;
        cluster.at_mut(number).settings.database_url = Some(through(&url));
    }
    cluster.start().await;
    cluster.sees_itself_whole().await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bob = cluster.member_everywhere("bob", "lobby").await;
    // A language sorts them otherwise than their bytes.
    for name in ["zoe", "åsa", "anna-b", "anna_b", "ω"] {
        cluster.member_everywhere(name, "lobby").await;
    }
    let mut stream = ann[1].listens("lobby").await;
    stream.catches_up().await;

    let first = ann[0]
        .says("lobby", "it's \\ 100 % 'quoted' \u{1F600}")
        .await;
    bob[0].likes("lobby", &first["id"]).await.with(200);
    let shown = stream
        .next_where("the message", |frame| frame.data["text"] == first["text"])
        .await;
    assert_eq!(shown.data["id"], first["id"]);
    cluster.isolate(2);
    ann[0].says("lobby", "left").await;
    bob[1].says("lobby", "right").await;
    cluster.heal();
    let history = cluster.agree(&[1, 2], "lobby", 3).await;
    cluster.show_the_same_bytes("lobby").await;
    assert_compiled_nothing(postgres).await;
    let members = ann[1].get("/v1/groups/lobby").await.json()["members"].clone();
    let names: Vec<&str> = members
        .as_array()
        .expect("a list")
        .iter()
        .map(name)
        .collect();
    assert!(names.is_sorted(), "{names:?}");

    cluster.at_mut(2).stop().await;
    let rebuilt = run_with(&cluster.at(2).settings, &["rebuild"]).await;
    let said = String::from_utf8_lossy(&rebuilt.stderr).into_owned();
    assert!(rebuilt.status.success(), "{said}");
    cluster.restart(2).await;

    let again = ann[1].history("lobby").await;
    assert_eq!(texts(&again), texts(&history));
    assert_eq!(
        again[0]["liked_by"],
        json!([{ "id": bob[1].id, "name": "bob" }])
    );
    // What a killed server leaves behind is ended before the next one starts.
    cluster.kill9(1);
    cluster.restart(1).await;
    ann[0].says("lobby", "after a kill").await;
    cluster.agree(&[1, 2], "lobby", 4).await;
    for number in 1..=2 {
        cluster.at_mut(number).stop().await;
    }
}

fn name(member: &serde_json::Value) -> &str {
    member["name"].as_str().expect("a text")
}

/// Asserts that no session of the role has loaded the compiler. Postgres loads it with the first
/// plan that it compiles, and keeps it.
async fn assert_compiled_nothing(postgres: &Disposable) {
    let mut admin = PgConnection::connect(&postgres.url())
        .await
        .expect("it runs");
    let sessions: Vec<(i32, String)> =
        sqlx::query_as("SELECT pid, query FROM pg_stat_activity WHERE usename = 'chat'")
            .fetch_all(&mut admin)
            .await
            .expect("a superuser may see them");
    assert!(sessions.len() > 3, "{sessions:?}");
    for (session, statement) in sessions {
        // On Linux only. A session may have ended.
        let loaded = std::fs::read_to_string(format!("/proc/{session}/maps")).unwrap_or_default();
        assert!(!loaded.contains("llvmjit"), "compiled: {statement}");
    }
}

/// A new Postgres with a role `chat` that may do nothing but log in.
pub async fn stock(initdb: &'static [&'static str]) -> Disposable {
    stock_with(initdb, &[]).await
}

/// The same with further settings.
pub async fn stock_with(
    initdb: &'static [&'static str],
    settings: &[(&'static str, &'static str)],
) -> Disposable {
    let settings = [&[("fsync", "off")], settings].concat();
    let started = tokio::task::spawn_blocking(move || Disposable::stock(initdb, &settings)).await;
    let postgres = started.expect("it starts");
    let mut admin = PgConnection::connect(&postgres.url())
        .await
        .expect("it runs");
    order(&mut admin, "CREATE ROLE chat LOGIN").await;
    postgres
}

/// Makes a database of that role; returns where it is.
pub async fn database(postgres: &Disposable, number: u16) -> String {
    let mut admin = PgConnection::connect(&postgres.url())
        .await
        .expect("it runs");
    let name = format!("chat_{number}");
    order(&mut admin, &format!("CREATE DATABASE {name} OWNER chat")).await;
    postgres
        .database_url(&name)
        .replace("postgres://postgres@", "postgres://chat@")
}

async fn order(admin: &mut PgConnection, sql: &str) {
    let ordered = sqlx::raw_sql(sql).execute(admin).await;
    ordered.unwrap_or_else(|error| panic!("{sql}: {error}"));
}
