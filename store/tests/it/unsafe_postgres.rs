//! A Postgres that can lose acknowledged commits is refused, for each setting (F29, F30).

use causeway_postgres::{Disposable, Options, PrivatePostgres, Scratch};
use causeway_store::log::{Log, OpenError, SubmitError};
use sqlx::{Connection, PgConnection};

use crate::support::{Store, eventually, post};

#[tokio::test(flavor = "multi_thread")]
async fn each_setting_that_can_lose_acknowledged_writes_is_refused_and_named() {
    let folder = Folder::new();
    for (setting, value) in [
        ("fsync", "off"),
        ("synchronous_commit", "off"),
        ("full_page_writes", "off"),
        ("data_sync_retry", "on"),
        ("ignore_checksum_failure", "on"),
        ("zero_damaged_pages", "on"),
    ] {
        let postgres = folder.start(&[(setting, value)]).await;

        let refused = opened(&postgres.url(), false).await.unwrap_err();
        let accepted = opened(&postgres.url(), true).await.unwrap();

        let named = refused.to_string();
        assert!(matches!(refused, OpenError::Unsafe(_)));
        assert!(named.contains(&format!("`{setting} = {value}`")), "{named}");
        let told: Vec<&str> = accepted.iter().map(String::as_str).collect();
        assert_eq!(told, [setting]);
        tokio::task::spawn_blocking(|| postgres.stop())
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_does_not_wait_for_the_disk_is_seen_wherever_it_was_set() {
    let folder = Folder::new();
    let postgres = folder.start(&[]).await;
    let url = postgres.url();
    assert_eq!(opened(&url, false).await.unwrap(), [""; 0]);
    for (set, reset) in [
        (
            "ALTER DATABASE postgres SET synchronous_commit = off",
            "ALTER DATABASE postgres RESET synchronous_commit",
        ),
        (
            "ALTER ROLE causeway SET synchronous_commit = off",
            "ALTER ROLE causeway RESET synchronous_commit",
        ),
    ] {
        order(&url, set).await;

        let refused = opened(&url, false).await;

        assert!(matches!(refused, Err(OpenError::Unsafe(_))), "{set}");
        order(&url, reset).await;
    }
    assert_eq!(opened(&url, false).await.unwrap(), [""; 0]);
    tokio::task::spawn_blocking(|| postgres.stop())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_through_a_new_session_that_does_not_wait_for_the_disk() {
    let folder = Folder::new();
    let postgres = folder.start(&[]).await;
    let url = postgres.url();
    let (store, _data) = demanding(&url).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;

    order(&url, "ALTER ROLE causeway SET synchronous_commit = off").await;
    replica
        .say("lobby", "anna", "through the old session")
        .await;
    end_other_sessions(&url).await;
    let refused = replica
        .log
        .submit(post("lobby", "anna", "lost?", None))
        .await;

    assert!(matches!(refused, Err(SubmitError::Unavailable)));
    order(&url, "ALTER ROLE causeway RESET synchronous_commit").await;
    replica.say("lobby", "anna", "through a safe session").await;
    replica.close().await;
    tokio::task::spawn_blocking(|| postgres.stop())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_is_switched_off_under_an_open_session_is_noticed() {
    // Not from its command line, where settings cannot be changed.
    let starting = tokio::task::spawn_blocking(|| Disposable::stock(&[], &[]));
    let postgres = starting.await.unwrap();
    let url = postgres.url();
    let (store, _data) = demanding(&url).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    let said = async || {
        let said = post("lobby", "anna", "hello", None);
        replica.log.submit(said).await
    };

    order(&url, "ALTER SYSTEM SET fsync = off").await;
    order(&url, "SELECT pg_reload_conf()").await;
    // The next writes still use the old session; its settings are checked again within seconds.
    eventually("the setting is detected", async || said().await.is_err()).await;
    let without = replica.log.no_session().unwrap();
    assert!(without.why.contains("fsync"), "{}", without.why);

    order(&url, "ALTER SYSTEM RESET fsync").await;
    order(&url, "SELECT pg_reload_conf()").await;
    replica.say("lobby", "anna", "safe again").await;
    assert!(replica.log.no_session().is_none());
    replica.close().await;
}

/// A replica on that database that accepts no unsafe setting, and its folder.
async fn demanding(url: &str) -> (Store, Scratch) {
    let data = Scratch::create();
    let mut store = Store::create(1).await;
    data.path().clone_into(&mut store.options.data_dir);
    url.clone_into(&mut store.options.database_url);
    store.options.allow_unsafe_postgres = false;
    (store, data)
}

async fn end_other_sessions(url: &str) {
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
    order(url, end).await;
}

/// A folder for a Postgres that is restarted with different settings.
struct Folder(Scratch);

impl Folder {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let folder = Scratch::create();
        // Postgres does not run as root and needs search permission on the path to its data.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        Self(folder)
    }

    async fn start(&self, settings: &[(&str, &str)]) -> PrivatePostgres {
        let named = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let options = Options {
            settings: settings.iter().map(named).collect(),
            ..Options::default()
        };
        let folder = self.0.path().join("postgres");
        tokio::task::spawn_blocking(move || PrivatePostgres::start(&folder, &options))
            .await
            .unwrap()
            .unwrap()
    }
}

/// Opens a log there and closes it; returns the unsafe settings that it reports.
async fn opened(url: &str, allow_unsafe: bool) -> Result<Vec<String>, OpenError> {
    let mut options = Store::create(1).await.options;
    let folder = Scratch::create();
    options.data_dir = folder.path().to_owned();
    options.database_url = url.to_owned();
    options.allow_unsafe_postgres = allow_unsafe;
    let (log, writer) = Log::open(options).await?;
    let found = log.unsafe_settings();
    let settings = found.iter().map(|it| it.setting.clone()).collect();
    drop(log);
    writer.await.unwrap();
    Ok(settings)
}

async fn order(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
}
