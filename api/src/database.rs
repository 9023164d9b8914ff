//! The configured database of a replica, or else a private Postgres.

use causeway_postgres::{Options, PrivatePostgres};

use crate::config::Config;
use crate::data_folder;
use crate::failure::UserError;

/// An available database.
#[derive(Debug)]
pub struct Database {
    /// Its URL.
    pub url: String,
    private: Option<PrivatePostgres>,
}

impl Database {
    /// Claims the data folder and starts the private Postgres where no database is configured.
    ///
    /// The private Postgres ends with this value at the latest, and with the process in any case.
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

    /// Opens the database of a replica whose server may run. Nothing is made where there is none.
    pub async fn open_beside(config: &Config) -> anyhow::Result<Self> {
        if config.database_url.is_some() {
            return Self::open(config).await;
        }
        let folder = config.data_dir.join("postgres");
        if let Some(url) = PrivatePostgres::url_of_another(&folder) {
            return Ok(Self { url, private: None });
        }
        if !data_folder::is_ours(&config.data_dir) {
            let folder = config.data_dir.display();
            let said = format!("`{folder}` holds no data of a replica");
            return Err(UserError(said).into());
        }
        Self::open(config).await
    }

    /// Stops the private Postgres in order. To be called when the database is no longer in use.
    pub async fn close(self) {
        if let Some(private) = self.private {
            // Stopping may take some seconds and must not hold up the runtime.
            let _ = tokio::task::spawn_blocking(move || private.stop()).await;
        }
    }
}
