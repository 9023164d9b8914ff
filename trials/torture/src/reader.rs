//! A reader: follows a group with its last cursor, now at this replica, now at that one. Some only
//! poll, and each has one limit for ever, as bots have.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use reqwest::Method;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use crate::door::{Answer, Call, Door};
use crate::history::{Event, History, Object};
use crate::rng::Rng;
use crate::sse::{Frame, Parser};

/// How long a stream may be silent: longer than between two comments.
const SILENCE: Duration = Duration::from_secs(20);
/// How long a replica may take to hear of a new group while everything is whole.
const FIRST: Duration = Duration::from_secs(20);
/// How long the last catch-up may take.
const LAST: Duration = Duration::from_mins(1);

/// A reader of one group.
pub struct Reader {
    door: Door,
    history: Arc<History>,
    rng: Rng,
    group: String,
    limit: u16,
    only_polls: bool,
    cursor: String,
    connection: u64,
}

/// The limits of readers by their number: half of them small.
const LIMITS: [u16; 6] = [1, 50, 3, 500, 5, 20];

impl Reader {
    /// Takes the snapshot of a group whose messages it shows all. `number`: which reader it is.
    pub async fn begin(
        mut door: Door,
        history: Arc<History>,
        rng: Rng,
        group: &str,
        number: u16,
    ) -> anyhow::Result<Self> {
        let snapshot = snapshot(&mut door, group).await?;
        let named = |list: &str, field: &str| {
            let list = snapshot[list].as_array().into_iter().flatten();
            list.filter_map(|it| it[field].as_str().map(str::to_owned))
                .collect()
        };
        history.record(Event::ReaderBegan {
            reader: name(&door, group),
            group: group.to_owned(),
            messages: named("messages", "id"),
            members: named("members", "name"),
        });
        let cursor = snapshot["cursor"].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            door,
            history,
            rng,
            group: group.to_owned(),
            limit: LIMITS[usize::from(number) % LIMITS.len()],
            only_polls: number.is_multiple_of(3),
            cursor,
            connection: 0,
        })
    }

    /// Reads here and there until told that everything is healed, then once more to the end.
    pub async fn read(mut self, healed: watch::Receiver<bool>) {
        while !*healed.borrow() {
            if self.only_polls || self.rng.chance(30) {
                let replica = *self.rng.pick(&self.door.numbers());
                // Stays for some calls, as a client does that has no reason to leave.
                for _ in 0..self.rng.between(1, 12) {
                    self.poll(replica, "1000").await;
                }
                continue;
            }
            let stay = Duration::from_millis(self.rng.between(300, 6_000));
            self.visit(Instant::now() + stay, false).await;
        }
        let end = Instant::now() + LAST;
        while Instant::now() < end {
            let has_ended = if self.only_polls {
                let replica = *self.rng.pick(&self.door.numbers());
                self.poll(replica, "0").await
            } else {
                self.visit(end, true).await
            };
            if has_ended {
                let reader = name(&self.door, &self.group);
                return self.history.record(Event::ReaderEnded { reader });
            }
        }
        self.broken("readers", "it does not catch up after everything is healed");
    }

    /// Asks once for what has changed, as those do who cannot read streams; tells whether there is no more.
    async fn poll(&mut self, replica: u16, wait_ms: &str) -> bool {
        let limit = self.limit.to_string();
        let call = Call::new(Method::GET, format!("/v1/groups/{}/changes", self.group))
            .with("cursor", Some(&self.cursor))
            .with("wait_ms", Some(wait_ms))
            .with("limit", Some(&limit));
        let Answer::Done { body, .. } = self.door.call(replica, &call).await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            return false;
        };
        let brings = body["events"].as_array().is_some_and(|it| !it.is_empty());
        if brings && body["cursor"] == self.cursor.as_str() {
            self.broken(
                "readers",
                "a call brings events and the cursor stands still",
            );
        }
        self.connection += 1;
        let events = body["events"].as_array().into_iter().flatten();
        for event in events {
            let said = |field: &str| event[field].as_str().map(str::to_owned);
            self.take(
                replica,
                Frame {
                    event: said("event").unwrap_or_default(),
                    id: said("cursor"),
                    data: event["data"].to_string(),
                },
            );
        }
        if let Some(cursor) = body["cursor"].as_str() {
            cursor.clone_into(&mut self.cursor);
        }
        body["caught_up"] == true
    }

    /// Reads one stream for a while, or until it has caught up; tells whether it has.
    async fn visit(&mut self, until: Instant, to_the_end: bool) -> bool {
        let numbers = self.door.numbers();
        let replica = *self.rng.pick(&numbers);
        let cursor = self.cursor.clone();
        let opened = self.door.stream(replica, &self.group, &cursor).await;
        let Some(mut response) = opened else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            return false;
        };
        self.connection += 1;
        let mut parser = Parser::default();
        while let Ok(Ok(Ok(Some(bytes)))) =
            timeout_at(until, timeout(SILENCE, response.chunk())).await
        {
            for frame in parser.feed(&bytes) {
                let is_end = frame.event == "caught_up";
                self.take(replica, frame);
                if is_end && to_the_end {
                    return true;
                }
            }
        }
        false
    }

    fn take(&mut self, replica: u16, frame: Frame) {
        if frame.event == "reset" {
            self.broken("readers", "it was told to start again");
        }
        let Some(id) = frame.id else { return };
        self.cursor = id;
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
            reader: name(&self.door, &self.group),
            connection: self.connection,
            replica,
            event: frame.event,
            subject: subject.as_str().unwrap_or_default().to_owned(),
            by: data["by"]["name"].as_str().map(str::to_owned),
            object: (!is_member).then(|| object(&data)),
        });
    }

    fn broken(&self, promise: &'static str, what: &str) {
        let what = format!("{}: {what}", name(&self.door, &self.group));
        self.history.record(Event::Broken { promise, what });
    }
}

/// The snapshot of a group that may have been founded at another replica just now.
async fn snapshot(door: &mut Door, group: &str) -> anyhow::Result<Value> {
    let call = Call::new(Method::GET, format!("/v1/groups/{group}"));
    let end = Instant::now() + FIRST;
    loop {
        let answer = door.call(1, &call).await;
        match answer {
            Answer::Done { body, .. } => return Ok(body),
            missing if Instant::now() > end => bail!("no snapshot of `{group}`: {missing:?}"),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The message that a frame or a page carries.
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

fn name(door: &Door, group: &str) -> String {
    format!("{} of {group}", door.user())
}
