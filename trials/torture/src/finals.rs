//! What every replica shows in the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use reqwest::Method;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::door::{Answer, Call, Door, http};

/// What one replica shows of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// All messages, in order, without what may differ.
    pub messages: Vec<Value>,
    /// The names of the members.
    pub members: Vec<String>,
}

/// What all replicas show: group, then replica.
pub type Finals = BTreeMap<String, BTreeMap<u16, Shown>>;

/// Fields in which replicas and readers may differ.
const MAY_DIFFER: [&str; 3] = ["stored_on", "settled", "liked"];

/// Reads these groups from all replicas.
pub async fn read(cluster: &Arc<Cluster>, groups: &[String]) -> anyhow::Result<Finals> {
    let mut door = Door::new(http()?, cluster.clone(), "auditor");
    let mut finals = Finals::new();
    for group in groups {
        for replica in cluster.numbers() {
            let shown = Shown {
                messages: messages(&mut door, replica, group).await?,
                members: members(&mut door, replica, group).await?,
            };
            finals
                .entry(group.clone())
                .or_default()
                .insert(replica, shown);
        }
    }
    Ok(finals)
}

async fn messages(door: &mut Door, replica: u16, group: &str) -> anyhow::Result<Vec<Value>> {
    let mut pages: Vec<Vec<Value>> = Vec::new();
    loop {
        let before = pages.last().and_then(|page| page.first());
        let before = before.and_then(|message| message["position"].as_str());
        let call = Call::new(Method::GET, format!("/v1/groups/{group}/messages"))
            .with("limit", Some("500"))
            .with("before", before);
        let mut body = patiently(door, replica, &call).await?;
        let has_before = body["has_before"] == true;
        let Value::Array(page) = body["messages"].take() else {
            return Err(anyhow!("a page without messages"));
        };
        pages.push(page);
        if !has_before {
            break;
        }
    }
    Ok(pages.into_iter().rev().flatten().map(plain).collect())
}

async fn members(door: &mut Door, replica: u16, group: &str) -> anyhow::Result<Vec<String>> {
    let call = Call::new(Method::GET, format!("/v1/groups/{group}/members"));
    let body = patiently(door, replica, &call.with("limit", Some("500"))).await?;
    let members = body["members"].as_array().context("a list of members")?;
    Ok(members
        .iter()
        .filter_map(|member| member["name"].as_str().map(str::to_owned))
        .collect())
}

/// Asks until it is answered: everything is healed.
async fn patiently(door: &mut Door, replica: u16, call: &Call) -> anyhow::Result<Value> {
    let mut last = String::new();
    for _ in 0..50 {
        match door.call(replica, call).await {
            Answer::Done { body, .. } => return Ok(body),
            other => last = format!("{other:?}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    Err(anyhow!(
        "replica {replica} does not answer {call:?}: {last}"
    ))
}

fn plain(mut message: Value) -> Value {
    if let Some(fields) = message.as_object_mut() {
        for field in MAY_DIFFER {
            fields.remove(field);
        }
    }
    message
}
