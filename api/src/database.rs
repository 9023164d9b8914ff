//! The configured database of a replica, or else a private Postgres.

use causeway_postgres::{Cancel, Options, PrivatePostgres, StartError};
use causeway_store::log::Log;
use tokio_util::sync::CancellationToken;

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
        let opened = Self::open_unless(config, &CancellationToken::new()).await?;
        Ok(opened.expect("nobody else has the token"))
    }

    /// As [`open`](Self::open), unless `stop` is cancelled meanwhile: then nothing that was started
    /// is left.
    pub async fn open_unless(
        config: &Config,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Self>> {
        look(config)?;
        data_folder::claim(&config.data_dir)?;
        if let Some(url) = &config.database_url {
            return Ok(Some(Self {
                url: url.clone(),
                private: None,
            }));
        }
        let folder = config.data_dir.join("postgres");
        let cancel = Cancel::default();
        let asked = cancel.clone();
        let start = move || PrivatePostgres::start_unless(&folder, &Options::default(), &asked);
        let mut starting = tokio::task::spawn_blocking(start);
        let started = tokio::select! {
            started = &mut starting => started?,
            () = stop.cancelled() => {
                cancel.request();
                starting.await?
            }
        };
        let private = match started {
            Err(StartError::Cancelled) => return Ok(None),
            started => started?,
        };
        let opened = Self {
            url: private.url(),
            private: Some(private),
        };
        if stop.is_cancelled() {
            opened.close().await;
            return Ok(None);
        }
        Ok(Some(opened))
    }

    /// Opens the database of a replica whose server may run. Nothing is made where there is none.
    pub async fn open_beside(config: &Config) -> anyhow::Result<Self> {
        look(config)?;
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

/// Refuses the folders of another account, and changes nothing: what root took over there, its owner
/// could not use again.
pub fn look(config: &Config) -> anyhow::Result<()> {
    data_folder::check(&config.data_dir)?;
    if config.database_url.is_none() {
        PrivatePostgres::look(&config.data_dir.join("postgres"))?;
    }
    Ok(())
}

/// Logs what of a configured Postgres costs speed or safety.
pub(crate) async fn report(config: &Config, log: &Log) {
    if config.database_url.is_none() {
        return;
    }
    match log.survey().await {
        Ok(advice) => {
            for advice in advice {
                tracing::warn!("{advice}");
            }
        }
        Err(failure) => tracing::warn!(
            error = &failure as &dyn std::error::Error,
            "the settings of Postgres cannot be read"
        ),
    }
}
