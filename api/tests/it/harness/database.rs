//! Databases of one's own in the Postgres that all tests of this process share.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, mpsc};

use causeway_postgres::Disposable;
use sqlx::{Connection, PgConnection};
use tokio::sync::oneshot;

/// A database, dropped with this value.
#[derive(Debug)]
pub struct Database {
    name: String,
}

impl Database {
    /// Creates an empty database.
    pub async fn empty() -> Self {
        Self::from_template("template1").await
    }

    /// Creates a copy of this one, as a backup would hold it. Nobody may be connected to it.
    pub async fn copy(&self) -> Self {
        Self::from_template(&self.name).await
    }

    /// Where a server finds it.
    pub fn url(&self) -> String {
        Disposable::shared().database_url(&self.name)
    }

    async fn from_template(template: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("it_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let (done, created) = oneshot::channel();
        let sql = format!(r#"CREATE DATABASE "{name}" TEMPLATE "{template}""#);
        ADMIN
            .send(Order {
                sql,
                done: Some(done),
            })
            .expect("the administrator lives");
        created
            .await
            .expect("the administrator answers")
            .expect("a database is created");
        Self { name }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!(r#"DROP DATABASE IF EXISTS "{}" WITH (FORCE)"#, self.name);
        drop(ADMIN.send(Order { sql, done: None }));
    }
}

struct Order {
    sql: String,
    done: Option<oneshot::Sender<Result<(), String>>>,
}

/// One thread gives all such orders: databases can only be copied one at a time, and a database
/// must also be dropped where nobody can wait for it.
static ADMIN: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
    let (orders, inbox) = mpsc::channel::<Order>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime starts").block_on(async {
            let url = Disposable::shared().url();
            let mut admin = PgConnection::connect(&url).await.expect("Postgres answers");
            while let Ok(order) = inbox.recv() {
                let result = sqlx::raw_sql(&order.sql).execute(&mut admin).await;
                let result = result
                    .map(drop)
                    .map_err(|error| format!("{}: {error}", order.sql));
                if let Some(done) = order.done {
                    drop(done.send(result));
                }
            }
        });
    });
    orders
});
