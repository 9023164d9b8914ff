//! `rebuild`: drops the read model of a replica that is not running and builds it anew.

use causeway_store::log::Log;
use causeway_store::timelines;

use crate::config::Config;
use crate::database::Database;
use crate::failure::tell;
use crate::offline::{Progress, clocks, close, options, show};

/// Builds it anew, once the log has turned out to be what was written.
pub async fn rebuild(config: Config) -> anyhow::Result<()> {
    let database = Database::open(&config).await?;
    let rebuilt = rebuild_with(&config, &database.url).await;
    database.close().await;
    rebuilt
}

async fn rebuild_with(config: &Config, url: &str) -> anyhow::Result<()> {
    let (log, writer) = Log::open(options(config, url, &clocks(config))?).await?;
    let rebuilt = rebuild_of(&log, url).await;
    close(log, writer).await;
    rebuilt
}

async fn rebuild_of(log: &Log, url: &str) -> anyhow::Result<()> {
    let all = log.head().arrival;
    let (told, what) = (Progress::default(), format!("of {all} events looked at"));
    let proven = log.prove(|looked_at| told.tell(&what, looked_at.unsigned_abs()));
    if let Err(failure) = proven.await {
        return Err(anyhow::Error::from(failure).context(
            "nothing was changed: an event is missing or not what was written, so let the peers fill an \
             empty replica in place of this one",
        ));
    }
    timelines::rebuild(log).await?;
    show(log, url, &format!("of {all} events")).await?;
    tell(&format!("{all} events, done"));
    Ok(())
}
