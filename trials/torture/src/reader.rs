//! A reader: follows a group with its last cursor and moves between replicas. Some only poll. Each
//! has a fixed limit, as bots have.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use causeway_client::{Change, Client, RawFrame};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::history::{Event, History, Object};
use crate::rng::Rng;
use crate::user::{Answer, User};

/// The time within which a replica learns of a new group without faults.
const FIRST: Duration = Duration::from_secs(20);
/// The timeout of the last catch-up.
const LAST: Duration = Duration::from_mins(1);

/// A reader of one group.
pub struct Reader {
    user: User,
    history: Arc<History>,
    rng: Rng,
    group: String,
    limit: u16,
    only_polls: bool,
    cursor: String,
    connection: u64,
}

/// The limits of readers, by their number; half of them are small.
const LIMITS: [u16; 6] = [1, 50, 3, 500, 5, 20];

impl Reader {
    /// Starts from a snapshot that holds all messages of the group. `number` is the reader's
    /// number.
    pub async fn begin(
        mut user: User,
        history: Arc<History>,
        rng: Rng,
        group: &str,
        number: u16,
    ) -> anyhow::Result<Self> {
        let snapshot = snapshot(&mut user, group).await?;
        let named = |list: &str, field: &str| {
            let list = snapshot[list].as_array().into_iter().flatten();
            list.filter_map(|it| it[field].as_str().map(str::to_owned))
                .collect()
        };
        history.record(Event::ReaderBegan {
            reader: name(&user, group),
            group: group.to_owned(),
            messages: named("messages", "id"),
            members: named("members", "name"),
        });
        let cursor = snapshot["cursor"].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            user,
            history,
            rng,
            group: group.to_owned(),
            limit: LIMITS[usize::from(number) % LIMITS.len()],
            only_polls: number.is_multiple_of(3),
            cursor,
            connection: 0,
        })
    }

    /// Reads at changing replicas until the faults have ended, then once more to the end.
    pub async fn read(mut self, healed: watch::Receiver<bool>) {
        while !*healed.borrow() {
            if self.only_polls || self.rng.chance(30) {
                let replica = *self.rng.pick(&self.user.replicas());
                // Stays for several calls, as an undisturbed client does.
                for _ in 0..self.rng.between(1, 12) {
                    self.poll(replica, Duration::from_secs(1)).await;
                }
                continue;
            }
            let stay = Duration::from_millis(self.rng.between(300, 6_000));
            self.visit(Instant::now() + stay, false).await;
        }
        let end = Instant::now() + LAST;
        while Instant::now() < end {
            let has_ended = if self.only_polls {
                let replica = *self.rng.pick(&self.user.replicas());
                self.poll(replica, Duration::ZERO).await
            } else {
                self.visit(end, true).await
            };
            if has_ended {
                let reader = name(&self.user, &self.group);
                return self.history.record(Event::ReaderEnded { reader });
            }
        }
        self.broken(
            "readers",
            "it does not catch up after the faults have ended",
        );
    }

    /// Polls once for changes; returns whether there are no more.
    async fn poll(&mut self, replica: u16, wait: Duration) -> bool {
        let (group, cursor, limit) = (&self.group, &self.cursor, self.limit);
        let ask =
            |client: Client| async move { client.changes(group, Some(cursor), wait, limit).await };
        let Some(changes) = self.user.ask(replica, ask).await.done() else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            return false;
        };
        if !changes.events.is_empty() && changes.cursor == self.cursor {
            self.broken("readers", "a call returns events and the same cursor");
        }
        self.connection += 1;
        for event in &changes.events {
            match serde_json::from_str::<Change>(event.get()) {
                Ok(change) => self.take(
                    replica,
                    RawFrame {
                        event: change.event.to_owned(),
                        data: change.data.get().to_owned(),
                        id: change.cursor.unwrap_or_default().to_owned(),
                        has_own_id: change.cursor.is_some(),
                    },
                ),
                Err(error) => self.broken("answers", &format!("{error} in the change {event}")),
            }
        }
        self.cursor = changes.cursor;
        changes.caught_up
    }

    /// Reads one stream until a deadline or until it has caught up; returns whether it has.
    async fn visit(&mut self, until: Instant, to_the_end: bool) -> bool {
        let numbers = self.user.replicas();
        let replica = *self.rng.pick(&numbers);
        let cursor = self.cursor.clone();
        let opened = self.user.stream(replica, &self.group, &cursor).await;
        let Some(mut stream) = opened else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            return false;
        };
        self.connection += 1;
        while let Ok(Some(frame)) = timeout_at(until, stream.next()).await {
            let is_end = frame.event == "caught_up";
            self.take(replica, frame);
            if is_end && to_the_end {
                return true;
            }
        }
        false
    }

    fn take(&mut self, replica: u16, frame: RawFrame) {
        if frame.event == "reset" {
            self.broken("readers", "it received a reset");
        }
        if !frame.has_own_id {
            return;
        }
        self.cursor = frame.id;
        if frame.event == "caught_up" {
            return;
        }
        let data: Value = serde_json::from_str(&frame.data).unwrap_or_default();
        let is_member = frame.event == "join" || frame.event == "leave";
        let subject = if is_member {
            &data["name"]
        } else {
            &data["id"]
        };
        self.history.record(Event::Frame {
            reader: name(&self.user, &self.group),
            connection: self.connection,
            replica,
            event: frame.event,
            subject: subject.as_str().unwrap_or_default().to_owned(),
            by: data["by"]["name"].as_str().map(str::to_owned),
            object: (!is_member).then(|| object(&data)),
        });
    }

    fn broken(&self, promise: &'static str, what: &str) {
        let what = format!("{}: {what}", name(&self.user, &self.group));
        self.history.record(Event::Broken { promise, what });
    }
}

/// The snapshot of a group that may just have been created at another replica.
async fn snapshot(user: &mut User, group: &str) -> anyhow::Result<Value> {
    let ask = |client: Client| async move { client.snapshot(group).await };
    let end = Instant::now() + FIRST;
    loop {
        match user.ask(1, ask).await {
            Answer::Done(snapshot) => return Ok(snapshot),
            missing if Instant::now() > end => bail!("no snapshot of `{group}`: {missing:?}"),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The message in a frame or a page.
pub fn object(message: &Value) -> Object {
    let text = |field: &str| message[field].as_str().unwrap_or_default().to_owned();
    let likers = message["liked_by"].as_array().into_iter().flatten();
    let likers = likers.filter_map(|it| it["name"].as_str().map(str::to_owned));
    Object {
        position: text("position"),
        text: text("text"),
        likers: likers.collect(),
        settled: message["settled"] == true,
    }
}

fn name(user: &User, group: &str) -> String {
    format!("{} of {group}", user.name())
}
