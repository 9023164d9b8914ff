//! Follows the event stream of a group, and watches whether the server is still there.
//!
//! Reads, resumes after the last id, and reports; what a frame means is up to `chat`. A stream that
//! ends is opened again at once: when that fails, the server is lost, and the task ends with the
//! news of it.

use std::time::{Duration, Instant};

use causeway_client::{CallError, Client, Frame, Group, Stream};
use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;

/// How often the server is asked whether it is there, stream or not.
const WATCH: Duration = Duration::from_secs(3);
/// The longest wait before a stream is opened again, whatever the server asks for.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// How many pages of groups are asked for to complete their names.
const GROUP_PAGES: usize = 10;

/// What the tasks report. `connection` tells which one of them: news of a former connection is old.
#[derive(Debug)]
pub struct News {
    /// The number that the task was started with.
    pub connection: u64,
    /// What happened.
    pub what: What,
}

/// See [`News`].
#[derive(Debug)]
pub enum What {
    /// A frame, and the id to resume after; empty for frames that carry none.
    Frame(Box<Frame>, String),
    /// Names of groups.
    Groups(Vec<String>),
    /// The server answers no more; the reason in a few words.
    Lost(String),
    /// The server answers, but gives no stream.
    Refused(CallError),
}

/// A task that ends when this is dropped.
#[derive(Debug)]
pub struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Follows a group after `cursor` until it is dropped, refused or lost.
pub fn follow(
    client: Client,
    group: String,
    cursor: Option<String>,
    connection: u64,
    out: Sender<News>,
) -> Task {
    let task = tokio::spawn(async move {
        let what = follow_until_lost(&client, &group, cursor, connection, &out).await;
        // Nobody listens any more only when the program ends.
        let _ = out.send(News { connection, what }).await;
    });
    Task(task.abort_handle())
}

async fn follow_until_lost(
    client: &Client,
    group: &str,
    cursor: Option<String>,
    connection: u64,
    out: &Sender<News>,
) -> What {
    let mut last_id = cursor.unwrap_or_default();
    loop {
        let begun = Instant::now();
        let resume_after = Some(last_id.as_str()).filter(|id| !id.is_empty());
        let mut stream = match client.events(group, resume_after).await {
            Ok(stream) => stream,
            Err(error) if error.is_lost() => return What::Lost(error.to_string()),
            Err(error) if error.passes() => {
                tokio::time::sleep(error.wait()).await;
                continue;
            }
            Err(error) => return What::Refused(error),
        };
        if let Some(end) = read_until_it_ends(&mut stream, &mut last_id, connection, out).await {
            return end;
        }
        // At once, to tell a closed stream from a lost server; only a stream that keeps ending
        // waits in between.
        if begun.elapsed() < Duration::from_secs(1) {
            let wait = stream
                .retry_ms()
                .map_or(Duration::from_millis(500), Duration::from_millis);
            tokio::time::sleep(wait.min(MAX_WAIT)).await;
        }
    }
}

/// Reports the frames of one stream. Nothing when it ended and may be opened again after `last_id`.
async fn read_until_it_ends(
    stream: &mut Stream,
    last_id: &mut String,
    connection: u64,
    out: &Sender<News>,
) -> Option<What> {
    while let Some(raw) = stream.next().await {
        let frame = match Frame::parse(&raw) {
            Ok(Frame::Reset) => {
                return Some(What::Frame(Box::new(Frame::Reset), String::new()));
            }
            Ok(frame) => frame,
            Err(error) => {
                return Some(What::Lost(format!("its stream cannot be read: {error}")));
            }
        };
        last_id.clone_from(&raw.id);
        let what = What::Frame(Box::new(frame), raw.id);
        // Nobody listens any more only when the program ends.
        let _ = out.send(News { connection, what }).await;
    }
    None
}

/// Reports the names of groups once, page by page. Where they are not to be had, nothing is reported.
pub fn learn_groups(client: Client, connection: u64, out: Sender<News>) -> Task {
    let task = tokio::spawn(async move {
        let mut after = None;
        for _ in 0..GROUP_PAGES {
            let Ok(page) = client.groups(false, after.as_deref()).await else {
                return;
            };
            let groups = page.groups.iter();
            let groups = groups.filter_map(|group| serde_json::from_str(group.get()).ok());
            let groups = groups.map(|group: Group| group.name).collect();
            let what = What::Groups(groups);
            // Nobody listens any more only when the program ends.
            let _ = out.send(News { connection, what }).await;
            after = page.next;
            if after.is_none() {
                return;
            }
        }
    });
    Task(task.abort_handle())
}

/// Asks now and then whether the server is there, until it is dropped or the server is lost. A server
/// of another cluster than `cluster` is not the one that was there.
pub fn watch(client: Client, cluster: String, connection: u64, out: Sender<News>) -> Task {
    let task = tokio::spawn(async move {
        let reason = loop {
            tokio::time::sleep(WATCH).await;
            if absence(&client, &cluster).await.is_none() {
                continue;
            }
            // One lost answer is no lost server.
            tokio::time::sleep(Duration::from_millis(300)).await;
            if let Some(reason) = absence(&client, &cluster).await {
                break reason;
            }
        };
        let _ = out
            .send(News {
                connection,
                what: What::Lost(reason),
            })
            .await;
    });
    Task(task.abort_handle())
}

/// Why the server is not there, if it is not.
async fn absence(client: &Client, cluster: &str) -> Option<String> {
    match client.server().await {
        Ok(server) if server.cluster != cluster => Some(format!(
            "a server of another cluster answers there: {}",
            server.cluster
        )),
        Err(error) if error.is_lost() => Some(error.to_string()),
        _ => None,
    }
}
