//! The database a replica is told to use, or else one of its own.

use causeway_postgres::{Options, PrivatePostgres};

use crate::config::Config;
use crate::data_folder;

/// Where the database is, and who runs it.
#[derive(Debug)]
pub struct Database {
    /// Its address.
    pub url: String,
    private: Option<PrivatePostgres>,
}

impl Database {
    /// Claims the data folder and starts the private Postgres where no database is configured.
    ///
    /// It ends with this value at the latest, and with the process in any case.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        data_folder::claim(&config.data_dir)?;
        if let Some(url) = &config.database_url {
            return Ok(Self {
                url: url.clone(),
                private: None,
            });
        }
        let folder = config.data_dir.join("postgres");
        let starting = move || PrivatePostgres::start(&folder, &Options::default());
        let private = tokio::task::spawn_blocking(starting).await??;
        Ok(Self {
            url: private.url(),
            private: Some(private),
        })
    }

    /// Stops the private Postgres in order; to be called when nobody uses the database any more.
    pub async fn close(self) {
        if let Some(private) = self.private {
            // Stopping may take some seconds and must not hold up the runtime.
            let _ = tokio::task::spawn_blocking(move || private.stop()).await;
        }
    }
}
