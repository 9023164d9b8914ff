//! Events that need an operator: forked origins, and events that are quarantined or set aside.

use sqlx::PgConnection;

use crate::probe::Probe;

/// One thing that was checked, and what is wrong with it.
pub(super) type EventCheck = (&'static str, Result<(), String>);

const FORKS: &str = "the same events as the peers";
const SHOWN: &str = "all events can be shown";
const RESCUED: &str = "all events set aside by a rescue are written again";

/// Asks the running replica, which compares itself with its peers every second.
pub(super) async fn ask_replica(probe: &Probe, public_url: &str) -> Vec<EventCheck> {
    let metrics = match probe.metrics(public_url).await {
        Ok(metrics) => metrics,
        Err(error) => return vec![(FORKS, Err(error.root_cause().to_string()))],
    };
    let forks = match value_of(&metrics, "causeway_forked_origins") {
        0 => Ok(()),
        count => Err(format!(
            "forked origins: {count}; the view says which and with whom, \
             `causeway-server new-epoch --rescue` brings the side that yields back"
        )),
    };
    let quarantined = value_of(&metrics, "causeway_events_set_aside");
    vec![(FORKS, forks), (SHOWN, none_quarantined(quarantined))]
}

/// Asks the database of a stopped replica; returns nothing for a database that was never used.
pub(super) async fn ask_database(connection: &mut PgConnection) -> Result<Vec<EventCheck>, String> {
    let counts = [
        count(connection, "quarantine", COUNT_QUARANTINED).await?,
        count(connection, "set_aside_events", COUNT_SET_ASIDE).await?,
    ];
    let [Some(quarantined), Some(set_aside)] = counts else {
        return Ok(Vec::new());
    };
    let rescued = match set_aside {
        0 => Ok(()),
        count => Err(format!(
            "events that wait: {count}; run `causeway-server new-epoch --rescue` again"
        )),
    };
    Ok(vec![
        (SHOWN, none_quarantined(quarantined)),
        (RESCUED, rescued),
    ])
}

const COUNT_QUARANTINED: &str = "SELECT count(*) FROM quarantine";
const COUNT_SET_ASIDE: &str = "SELECT count(*) FROM set_aside_events WHERE outcome IS NULL";

/// Returns the result of a count, or `None` where the table does not exist.
async fn count(
    connection: &mut PgConnection,
    table: &str,
    query: &'static str,
) -> Result<Option<u64>, String> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(table)
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| error.to_string())?;
    if !exists {
        return Ok(None);
    }
    let count: i64 = sqlx::query_scalar(query)
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| error.to_string())?;
    Ok(Some(count.unsigned_abs()))
}

fn none_quarantined(count: u64) -> Result<(), String> {
    match count {
        0 => Ok(()),
        count => Err(format!(
            "events set aside: {count}; kept and passed on, but not shown; the log of the server \
             says why, and after an upgrade `causeway-server rebuild` tries them again"
        )),
    }
}

/// Returns the value of a metric without labels; 0 where it is missing.
fn value_of(metrics: &str, name: &str) -> u64 {
    let mut lines = metrics.lines().filter_map(|line| line.split_once(' '));
    let value = lines.find(|(found, _)| *found == name).map(|(_, it)| it);
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_running_replica_reports_its_forks() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut caller, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = caller.read(&mut request).await.unwrap();
            let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n\
                          causeway_forked_origins 2\ncauseway_events_set_aside 0\n";
            caller.write_all(answer.as_bytes()).await.unwrap();
        });

        let checks = ask_replica(&Probe::new(None).unwrap(), &url).await;

        let wrong: Vec<String> = checks.into_iter().filter_map(|(_, it)| it.err()).collect();
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].starts_with("forked origins: 2;"), "{wrong:?}");
    }

    #[test]
    fn a_metric_is_read_by_its_whole_name() {
        let metrics = "# HELP causeway_forked_origins Origins\n\
                       causeway_forked_origins_of{peer=\"2\"} 7\ncauseway_forked_origins 2\n";

        assert_eq!(value_of(metrics, "causeway_forked_origins"), 2);
        assert_eq!(value_of(metrics, "causeway_events_set_aside"), 0);
    }
}
