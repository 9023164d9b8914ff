//! Databases in the Postgres of this test process, and the log of a replica on one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use causeway_domain::ids::ReplicaId;
use causeway_postgres::{Disposable, Scratch};
use causeway_store::log::Options;
use sqlx::{Connection, PgConnection};

/// A database and the folder beside it.
pub struct Store {
    pub url: String,
    pub folder: Scratch,
}

impl Store {
    pub async fn create() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let postgres = tokio::task::spawn_blocking(Disposable::shared).await;
        let postgres = postgres.unwrap();
        let name = format!("costs_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut admin = PgConnection::connect(&postgres.url()).await.unwrap();
        sqlx::query(&format!("CREATE DATABASE {name}"))
            .execute(&mut admin)
            .await
            .unwrap();
        Self {
            url: postgres.database_url(&name),
            folder: Scratch::create(),
        }
    }

    /// Returns the options of a replica's log here.
    pub fn options(&self, replica: u16) -> Options {
        Options {
            replica: ReplicaId::new(replica).unwrap(),
            cluster: "costs".into(),
            database_url: self.url.clone(),
            data_dir: self.folder.path().to_owned(),
            wall: Arc::new(wall_ms),
            order: Arc::new(wall_ms),
            fresh_epoch: u32::from(replica),
            max_waiting_writes: 4_096,
            max_lag_ms: 1_000,
            allow_unsafe_postgres: true,
            has_room: Arc::new(|| true),
        }
    }
}

fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
