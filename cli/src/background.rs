//! Background tasks: one follows the event stream of a group, one watches the server.
//!
//! They read, resume after the last id, and report; `chat` decides what a frame means. A stream
//! that ends is opened again at once. If that fails, the server is lost, and the task reports it
//! and ends.

use std::time::{Duration, Instant};

use causeway_client::{CallError, Client, Frame, Group, Stream};
use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;

/// How often the server is probed, with or without a stream.
const WATCH: Duration = Duration::from_secs(3);
/// The longest pause before a stream is opened again, whatever the server asks for.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// How many pages of groups are loaded for completion.
const GROUP_PAGES: usize = 10;

/// A report of a background task.
#[derive(Debug)]
pub struct Report {
    /// Which connection the task belongs to; reports of a former one are stale.
    pub generation: u64,
    /// What happened.
    pub event: Event,
}

/// What a background task reports.
#[derive(Debug)]
pub enum Event {
    /// A frame, and the id to resume after; empty for frames that carry none.
    Frame(Box<Frame>, String),
    /// Names of groups.
    Groups(Vec<String>),
    /// The server no longer answers, and why.
    Lost(String),
    /// The server refuses the stream.
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
    generation: u64,
    out: Sender<Report>,
) -> Task {
    let task = tokio::spawn(async move {
        let event = follow_until_lost(&client, &group, cursor, generation, &out).await;
        // The receiver is gone only while the program exits.
        let _ = out.send(Report { generation, event }).await;
    });
    Task(task.abort_handle())
}

async fn follow_until_lost(
    client: &Client,
    group: &str,
    cursor: Option<String>,
    generation: u64,
    out: &Sender<Report>,
) -> Event {
    let mut last_id = cursor.unwrap_or_default();
    loop {
        let begun = Instant::now();
        let resume_after = Some(last_id.as_str()).filter(|id| !id.is_empty());
        let mut stream = match client.events(group, resume_after).await {
            Ok(stream) => stream,
            Err(error) if error.is_lost() => return Event::Lost(error.to_string()),
            Err(error) if error.passes() => {
                tokio::time::sleep(error.wait()).await;
                continue;
            }
            Err(error) => return Event::Refused(error),
        };
        if let Some(end) = read_until_it_ends(&mut stream, &mut last_id, generation, out).await {
            return end;
        }
        // At once, to tell a closed stream from a lost server; with a pause only if streams keep
        // ending.
        if begun.elapsed() < Duration::from_secs(1) {
            let wait = stream
                .retry_ms()
                .map_or(Duration::from_millis(500), Duration::from_millis);
            tokio::time::sleep(wait.min(MAX_WAIT)).await;
        }
    }
}

/// Reports the frames of one stream. `None` if it ended and may be resumed after `last_id`.
async fn read_until_it_ends(
    stream: &mut Stream,
    last_id: &mut String,
    generation: u64,
    out: &Sender<Report>,
) -> Option<Event> {
    while let Some(raw) = stream.next().await {
        let frame = match Frame::parse(&raw) {
            Ok(Frame::Reset) => {
                return Some(Event::Frame(Box::new(Frame::Reset), String::new()));
            }
            Ok(frame) => frame,
            Err(error) => {
                return Some(Event::Lost(format!("its stream cannot be read: {error}")));
            }
        };
        last_id.clone_from(&raw.id);
        let event = Event::Frame(Box::new(frame), raw.id);
        // The receiver is gone only while the program exits.
        let _ = out.send(Report { generation, event }).await;
    }
    None
}

/// Reports the names of groups once, page by page. Errors are ignored.
pub fn load_groups(client: Client, generation: u64, out: Sender<Report>) -> Task {
    let task = tokio::spawn(async move {
        let mut after = None;
        for _ in 0..GROUP_PAGES {
            let Ok(page) = client.groups(false, after.as_deref()).await else {
                return;
            };
            let groups = page.groups.iter();
            let groups = groups.filter_map(|group| serde_json::from_str(group.get()).ok());
            let groups = groups.map(|group: Group| group.name).collect();
            let event = Event::Groups(groups);
            // The receiver is gone only while the program exits.
            let _ = out.send(Report { generation, event }).await;
            after = page.next;
            if after.is_none() {
                return;
            }
        }
    });
    Task(task.abort_handle())
}

/// Probes the server until it is lost. A server of another cluster than `cluster` counts as lost.
pub fn watch(client: Client, cluster: String, generation: u64, out: Sender<Report>) -> Task {
    let task = tokio::spawn(async move {
        let reason = loop {
            tokio::time::sleep(WATCH).await;
            if reason_lost(&client, &cluster).await.is_none() {
                continue;
            }
            // A single lost answer does not mean a lost server.
            tokio::time::sleep(Duration::from_millis(300)).await;
            if let Some(reason) = reason_lost(&client, &cluster).await {
                break reason;
            }
        };
        let _ = out
            .send(Report {
                generation,
                event: Event::Lost(reason),
            })
            .await;
    });
    Task(task.abort_handle())
}

/// Why the server counts as lost, if it does.
async fn reason_lost(client: &Client, cluster: &str) -> Option<String> {
    match client.server().await {
        Ok(server) if server.cluster != cluster => Some(format!(
            "a server of another cluster answers there: {}",
            server.cluster
        )),
        Err(error) if error.is_lost() => Some(error.to_string()),
        _ => None,
    }
}
