//! Health and readiness of a replica.

mod metrics;

use std::time::Duration;

use causeway_domain::writing::Beginning;
use causeway_replicator_core::liveness::Status;
use tokio::time::timeout;

use crate::context::Parts;

pub use metrics::metrics;

/// How long the database may take to answer.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the writer may be without a database session.
const SESSION_GRACE: Duration = Duration::from_secs(2);
/// How long the read model may fail to follow the log.
const FOLLOW_GRACE: Duration = Duration::from_secs(2);
/// How long a start with a new epoch waits for a first peer to answer. A peer that answered and is
/// down by now is not waited for.
const FIRST_PEER_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns why a replica is not ready; `None` when it is.
pub async fn unready(parts: &Parts) -> Option<String> {
    if let Some(why) = cannot_read(parts).await {
        return Some(why.to_owned());
    }
    if let Some(why) = cannot_write(parts) {
        return Some(format!("nothing can be written: {why}"));
    }
    is_catching_up(parts).then(|| "a new epoch has not caught up with any peer yet".to_owned())
}

async fn cannot_read(parts: &Parts) -> Option<&'static str> {
    let answer = sqlx::query("SELECT 1").execute(parts.log.pool());
    if !matches!(timeout(DATABASE_TIMEOUT, answer).await, Ok(Ok(_))) {
        return Some("the database does not answer");
    }
    if let Some(since) = parts.timelines.following().failing_since
        && since.elapsed() > FOLLOW_GRACE
    {
        return Some("the read model cannot follow the log");
    }
    None
}

/// Returns why no message can be written at all.
fn cannot_write(parts: &Parts) -> Option<String> {
    if parts.log.is_file_stuck() {
        return Some("the file beside the database cannot be written".to_owned());
    }
    let without = parts.log.no_session()?;
    (without.since.elapsed() > SESSION_GRACE).then_some(without.why)
}

/// After a start with a new epoch the history of the peers must come first, unless none answers.
fn is_catching_up(parts: &Parts) -> bool {
    let knowledge = parts.knowledge();
    if parts.log.beginning() == Beginning::Continued || knowledge.has_caught_up {
        return false;
    }
    let has_live_peer = knowledge
        .peers
        .values()
        .any(|peer| peer.liveness.status != Status::Down);
    let waits_for_first = parts.started.elapsed() < FIRST_PEER_TIMEOUT;
    has_live_peer || (!knowledge.peers.is_empty() && waits_for_first)
}
