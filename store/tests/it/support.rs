//! A replica's store for tests: a database of its own in the Postgres of this test process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use causeway_domain::group::GroupCommand;
use causeway_domain::ids::ReplicaId;
use causeway_domain::names::{GroupName, MessageId, Name, User, UserId};
use causeway_domain::post::PostCommand;
use causeway_domain::text::{IdempotencyKey, MessageText};
use causeway_domain::writing::{Action, Command};
use causeway_postgres::{Disposable, Scratch};
use causeway_store::log::{Done, Log, Options, WriterTask};
use causeway_store::timelines::{Anchor, FollowTask, Timelines};
use sqlx::{Connection, PgConnection};

static DATABASES: AtomicU32 = AtomicU32::new(1);

/// A database and the folder beside it.
pub struct Store {
    pub options: Options,
    folder: Arc<Scratch>,
}

impl Store {
    pub async fn create(replica: u16) -> Self {
        let folder = Arc::new(Scratch::create());
        Self::in_folder(replica, folder, "").await
    }

    /// A replica whose database has the English ICU collation. Before version 15 Postgres does not
    /// support this everywhere: there the database sorts by bytes.
    pub async fn create_sorting_for_people(replica: u16) -> Self {
        let postgres = tokio::task::spawn_blocking(Disposable::shared).await;
        let mut admin = PgConnection::connect(&postgres.unwrap().url())
            .await
            .unwrap();
        let version: String = sqlx::query_scalar("SELECT current_setting('server_version_num')")
            .fetch_one(&mut admin)
            .await
            .unwrap();
        let is_able = version.parse::<u32>().unwrap() >= 150_000;
        let locale = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'";
        let folder = Arc::new(Scratch::create());
        Self::in_folder(replica, folder, if is_able { locale } else { "" }).await
    }

    /// A replica whose clock is `ahead_ms` ahead.
    pub async fn create_ahead(replica: u16, ahead_ms: u64) -> Self {
        let mut store = Self::create(replica).await;
        store.set_clock(Arc::new(move || wall_ms() + ahead_ms));
        store
    }

    /// Sets the clock from the next start on, both for displayed times and for the HLC.
    pub fn set_clock(&mut self, clock: Arc<dyn Fn() -> u64 + Send + Sync>) {
        self.options.wall = clock.clone();
        self.options.order = clock;
    }

    async fn in_folder(replica: u16, folder: Arc<Scratch>, locale: &str) -> Self {
        let postgres = tokio::task::spawn_blocking(Disposable::shared)
            .await
            .unwrap();
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let database = format!("log_{number}");
        let mut admin = PgConnection::connect(&postgres.url()).await.unwrap();
        sqlx::query(&format!("CREATE DATABASE {database} {locale}"))
            .execute(&mut admin)
            .await
            .unwrap();
        let options = Options {
            replica: ReplicaId::new(replica).unwrap(),
            cluster: "test".into(),
            database_url: postgres.database_url(&database),
            data_dir: folder.path().to_owned(),
            wall: Arc::new(wall_ms),
            order: Arc::new(wall_ms),
            fresh_epoch: number,
            max_waiting_writes: 4_096,
            max_lag_ms: 1_000,
            allow_unsafe_postgres: true,
            has_room: Arc::new(|| true),
        };
        Self { options, folder }
    }

    /// The same replica with an empty database and its old file.
    pub async fn with_a_fresh_database(&self) -> Self {
        Self::in_folder(self.options.replica.get(), self.folder.clone(), "").await
    }

    pub async fn open(&self) -> Open {
        let (log, writer) = Log::open(self.options.clone()).await.unwrap();
        let (timelines, follower) = Timelines::follow(log.clone(), &self.options.database_url)
            .await
            .unwrap();
        Open {
            log,
            timelines,
            writer,
            follower,
        }
    }
}

/// An open log and its read model.
pub struct Open {
    pub log: Log,
    pub timelines: Timelines,
    writer: WriterTask,
    follower: FollowTask,
}

impl Open {
    pub async fn close(self) {
        drop((self.log, self.timelines));
        self.writer.await.unwrap();
        self.follower.await.unwrap();
    }

    /// Waits until the writer ends by itself while the log is open.
    pub async fn writer_ends(self) -> (Log, Timelines) {
        let ended = tokio::time::timeout(Duration::from_mins(1), self.writer).await;
        ended.expect("the writer still runs").unwrap();
        (self.log, self.timelines)
    }

    pub async fn join(&self, group: &str, who: &str) -> Done {
        let command = Command {
            group: name(group),
            action: Action::Group(GroupCommand::Join { user: user(who) }),
            above: None,
        };
        self.log.submit(command).await.unwrap()
    }

    pub async fn leave(&self, group: &str, who: &str) -> Done {
        let command = Command {
            group: name(group),
            action: Action::Group(GroupCommand::Leave { user: user(who) }),
            above: None,
        };
        self.log.submit(command).await.unwrap()
    }

    pub async fn say(&self, group: &str, who: &str, text: &str) -> Done {
        self.log.submit(post(group, who, text, None)).await.unwrap()
    }

    pub async fn pull_from(&self, other: &Self) {
        let held = self.log.head().vector.clone();
        let events = other.log.read_beyond(&held, 1_000, usize::MAX).await;
        let (_, head) = self.log.absorb(events.unwrap()).await.unwrap();
        self.timelines.reach(head.offset).await.unwrap();
    }

    /// Slows down every statement that inserts into a table.
    pub async fn slow_down(&self, table: &str) {
        let trigger = format!(
            "CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_sleep(0.01); RETURN NULL; END $$;
             CREATE TRIGGER take_time AFTER INSERT ON {table}
                 FOR EACH STATEMENT EXECUTE FUNCTION take_time()"
        );
        sqlx::raw_sql(&trigger)
            .execute(self.log.pool())
            .await
            .unwrap();
    }

    pub async fn texts(&self, group: &str) -> Vec<String> {
        let reader = UserId("nobody".into());
        let page = self
            .timelines
            .page(name(group), Anchor::Newest, 500, reader)
            .await;
        page.unwrap()
            .unwrap()
            .messages
            .into_iter()
            .map(|seen| seen.message.text)
            .collect()
    }
}

/// Waits until a condition holds.
pub async fn eventually(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !is_true().await {
        assert!(Instant::now() < deadline, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn post(group: &str, who: &str, text: &str, key: Option<IdempotencyKey>) -> Command {
    static IDS: AtomicU32 = AtomicU32::new(1);
    let author = user(who);
    let id = match &key {
        Some(key) => MessageId::of_key(&author.id, &name(group), key.as_str(), text),
        None => MessageId(format!("m{}", IDS.fetch_add(1, Ordering::Relaxed))),
    };
    Command {
        group: name(group),
        action: Action::Post(
            id,
            PostCommand::Post {
                author,
                text: MessageText::parse(text, 4_000).unwrap(),
                sent_at_ms: None,
                key,
            },
        ),
        above: None,
    }
}

pub fn name(text: &str) -> GroupName {
    Name::parse(text).unwrap()
}

pub fn user(text: &str) -> User {
    User {
        id: UserId::of_open_name(&name(text)),
        name: text.to_owned(),
    }
}

pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
