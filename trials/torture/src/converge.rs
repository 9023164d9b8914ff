//! Waits for convergence, as reported by the replicas.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use causeway_client::Client;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::user::{User, http};

/// The timeout. After a wipe, the transfer takes a while on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// Waits until all replicas hold the same and see all others up; returns the time it took.
pub async fn wait(cluster: &Arc<Cluster>) -> anyhow::Result<Duration> {
    let mut user = User::new(http(cluster.ca()), cluster.clone(), "operator");
    let begun = Instant::now();
    loop {
        let mut views = Vec::new();
        for replica in cluster.numbers() {
            views.push(view(&mut user, replica).await);
        }
        let Some(difference) = difference(&views) else {
            return Ok(begun.elapsed());
        };
        if begun.elapsed() > PATIENCE {
            bail!("{difference}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A replica's view, or null.
async fn view(user: &mut User, replica: u16) -> Value {
    let ask = |client: Client| async move { client.view_as().await };
    user.ask(replica, ask).await.done().unwrap_or_default()
}

/// The first difference between the views.
fn difference(views: &[Value]) -> Option<String> {
    let vectors: Vec<&Value> = views.iter().map(|view| &view["self"]["vector"]).collect();
    if vectors
        .iter()
        .any(|vector| vector.is_null() || *vector != vectors[0])
    {
        let vectors: Vec<String> = vectors.iter().map(ToString::to_string).collect();
        return Some(format!("the vectors are {}", vectors.join(" ")));
    }
    views.iter().find_map(|view| {
        let peers = view["peers"].as_array().into_iter().flatten();
        let mut bad = peers.filter(|peer| {
            peer["status"] != "up"
                || peer["out"] != "ok"
                || peer["missing_here"] != 0
                || peer["missing_there"] != 0
        });
        bad.next()
            .map(|peer| format!("replica {} sees {peer}", view["self"]["replica"]))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn other_vectors_and_peers_that_are_not_up_are_differences() {
        let view = |vector: u64, status: &str| {
            json!({
                "self": { "replica": 1, "vector": [vector] },
                "peers": [{ "status": status, "out": "ok", "missing_here": 0, "missing_there": 0 }],
            })
        };

        assert_eq!(difference(&[view(1, "up"), view(1, "up")]), None);
        assert!(difference(&[view(1, "up"), view(2, "up")]).is_some());
        assert!(difference(&[view(1, "up"), view(1, "down")]).is_some());
        assert!(difference(&[view(1, "up"), Value::Null]).is_some());
    }
}
