//! The final state that every replica shows.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use anyhow::anyhow;
use causeway_client::{CallError, Client, Member, Page, Window};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::user::{Answer, User, http};

/// The state of one group on one replica.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// All messages in order, without the fields that may differ.
    pub messages: Vec<Value>,
    /// The names of the members.
    pub members: Vec<String>,
}

/// The states of all replicas, by group and replica.
pub type Finals = BTreeMap<String, BTreeMap<u16, Shown>>;

/// Fields in which replicas and readers may differ.
const MAY_DIFFER: [&str; 3] = ["stored_on", "settled", "liked"];

/// Reads groups from all replicas.
pub async fn read(cluster: &Arc<Cluster>, groups: &[String]) -> anyhow::Result<Finals> {
    let mut user = User::new(http(cluster.ca()), cluster.clone(), "auditor");
    let mut finals = Finals::new();
    for group in groups {
        for replica in cluster.numbers() {
            let shown = Shown {
                messages: messages(&mut user, replica, group).await?,
                members: members(&mut user, replica, group).await?,
            };
            finals
                .entry(group.clone())
                .or_default()
                .insert(replica, shown);
        }
    }
    Ok(finals)
}

async fn messages(user: &mut User, replica: u16, group: &str) -> anyhow::Result<Vec<Value>> {
    let mut pages: Vec<Vec<Value>> = Vec::new();
    loop {
        let first = pages.last().and_then(|page| page.first());
        let before = first.and_then(|message| message["position"].as_str());
        let window = before.map_or(Window::Newest, Window::Before);
        let ask = |client: Client| async move { client.page(group, window, 500).await };
        let page: Page<Value> = ask_until_answered(user, replica, ask).await?;
        pages.push(page.messages);
        if !page.has_before {
            break;
        }
    }
    Ok(pages.into_iter().rev().flatten().map(plain).collect())
}

async fn members(user: &mut User, replica: u16, group: &str) -> anyhow::Result<Vec<String>> {
    let ask = |client: Client| async move { client.members(group, None).await };
    let members = ask_until_answered(user, replica, ask).await?.members;
    members
        .iter()
        .map(|member| Ok(serde_json::from_str::<Member>(member.get())?.name))
        .collect()
}

/// Asks until an answer arrives; without faults, one must.
async fn ask_until_answered<T, F>(
    user: &mut User,
    replica: u16,
    call: impl Fn(Client) -> F,
) -> anyhow::Result<T>
where
    T: fmt::Debug,
    F: Future<Output = Result<T, CallError>>,
{
    let mut last = String::new();
    for _ in 0..50 {
        match user.ask(replica, &call).await {
            Answer::Done(body) => return Ok(body),
            other => last = format!("{other:?}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    Err(anyhow!("replica {replica} does not answer: {last}"))
}

fn plain(mut message: Value) -> Value {
    if let Some(fields) = message.as_object_mut() {
        for field in MAY_DIFFER {
            fields.remove(field);
        }
    }
    message
}
