//! `rebuild`: drops the read model of a stopped replica and builds it again from the log.

use causeway_store::log::Log;
use causeway_store::timelines;

use crate::config::Config;
use crate::database::Database;
use crate::failure::print_notice;
use crate::offline::{Progress, clocks, close, options, show};

/// Rebuilds the read model, after the log has been verified.
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
    let all = log.head().offset;
    let progress = Progress::default();
    let what = format!("of {all} events checked");
    let proven = log.prove(|checked| progress.print(&what, checked.unsigned_abs()));
    if let Err(failure) = proven.await {
        return Err(anyhow::Error::from(failure).context(
            "nothing was changed: an event is missing or differs from what was written; replace this \
             replica by an empty one, which its peers will fill",
        ));
    }
    timelines::rebuild(log).await?;
    show(log, url, &format!("of {all} events")).await?;
    print_notice(&format!("{all} events, done"));
    Ok(())
}
