//! A client that only polls, with one limit, and keeps the last frame about each object.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::harness::User;

/// A client that only polls.
#[derive(Clone)]
pub struct Poller {
    user: User,
    limit: usize,
    pub cursor: String,
    /// All frames it was sent.
    pub frames: Vec<Value>,
    pub fold: Fold,
}

/// The last frame about each message and member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fold {
    /// Id → position, text, who likes it.
    messages: BTreeMap<String, (String, String, BTreeSet<String>)>,
    members: BTreeSet<String>,
}

impl Poller {
    /// Starts now.
    pub async fn now(user: &User) -> Self {
        let mut poller = Self::at(user, "", 1);
        let answer = poller.ask("").await;
        answer["cursor"]
            .as_str()
            .expect("a cursor")
            .clone_into(&mut poller.cursor);
        poller.fold = Self::snapshot(user).await;
        poller
    }

    /// Returns a copy with another limit.
    pub fn with_limit(&self, limit: usize) -> Self {
        Self {
            limit,
            ..self.clone()
        }
    }

    /// Resumes after a cursor.
    pub fn at(user: &User, cursor: &str, limit: usize) -> Self {
        Self {
            user: user.clone(),
            limit,
            cursor: cursor.to_owned(),
            frames: Vec::new(),
            fold: Fold::default(),
        }
    }

    /// Returns what a replica shows of the group.
    pub async fn snapshot(user: &User) -> Fold {
        let members = user
            .get("/v1/groups/lobby/members?limit=500")
            .await
            .with(200);
        let history = user.history("lobby").await;
        Fold {
            messages: history.iter().map(entry).collect(),
            members: names(&members["members"]),
        }
    }

    /// Moves to another replica.
    pub fn goes_to(&mut self, user: &User) {
        self.user = user.clone();
    }

    /// Polls once; returns whether it has caught up.
    pub async fn asks(&mut self) -> bool {
        let answer = self.ask(&format!("cursor={}&", self.cursor)).await;
        let cursor = answer["cursor"].as_str().expect("a cursor").to_owned();
        let events = answer["events"].as_array().expect("a list");
        assert!(events.len() <= self.limit);
        assert!(
            events.is_empty() || cursor != self.cursor,
            "the cursor stands still"
        );
        for event in events {
            self.fold.take(event);
            self.frames.push(event.clone());
        }
        self.cursor = cursor;
        answer["caught_up"] == true
    }

    /// Polls so many times.
    pub async fn asks_times(&mut self, times: usize) {
        for _ in 0..times {
            self.asks().await;
        }
    }

    /// Polls until it has caught up, and expects at most so many events.
    pub async fn catches_up(&mut self, events: usize) {
        let calls = 2 + events.div_ceil(self.limit);
        for _ in 0..calls {
            if self.asks().await {
                return;
            }
        }
        panic!("not caught up after {calls} calls: {:#?}", self.frames);
    }

    /// Returns how many frames of a kind it was sent.
    pub fn told(&self, event: &str) -> usize {
        self.frames.iter().filter(|it| it["event"] == event).count()
    }

    /// Asserts that the last frame about each object agrees with what a replica shows.
    pub async fn sees_what_is_shown(&self, user: &User) {
        let mut shown = Self::snapshot(user).await;
        shown
            .messages
            .retain(|id, _| self.fold.messages.contains_key(id));
        assert_eq!(self.fold.messages, shown.messages);
        if !self.fold.members.is_empty() {
            assert_eq!(self.fold.members, shown.members);
        }
    }

    async fn ask(&self, query: &str) -> Value {
        let limit = self.limit;
        let path = format!("/v1/groups/lobby/changes?{query}limit={limit}");
        self.user.get(&path).await.with(200)
    }
}

impl Fold {
    /// Returns how many users like a message.
    pub fn likes(&self, id: &Value) -> usize {
        self.messages[id.as_str().expect("an id")].2.len()
    }

    /// Forgets all messages but one.
    pub fn forget_all_but(&mut self, id: &Value) {
        self.messages.retain(|known, _| id == known);
    }

    fn take(&mut self, event: &Value) {
        let data = &event["data"];
        let name = data["name"].as_str().unwrap_or_default().to_owned();
        match event["event"].as_str().expect("a name") {
            "join" => {
                self.members.insert(name);
            }
            "leave" => {
                self.members.remove(&name);
            }
            "reset" => {}
            _ => self.messages.extend([entry(data)]),
        }
    }
}

fn entry(message: &Value) -> (String, (String, String, BTreeSet<String>)) {
    let text = |field: &str| message[field].as_str().expect("a text").to_owned();
    let likers = names(&message["liked_by"]);
    assert_eq!(message["likes"], likers.len());
    (text("id"), (text("position"), text("text"), likers))
}

fn names(users: &Value) -> BTreeSet<String> {
    let users = users.as_array().into_iter().flatten();
    users
        .map(|user| user["name"].as_str().expect("a name").to_owned())
        .collect()
}
