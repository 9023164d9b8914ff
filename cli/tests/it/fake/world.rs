//! The data of the fake servers, and their answers.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{HELD, Request};

/// What all servers of a test share, as replicas do: messages and frames.
#[derive(Default)]
pub struct World {
    /// The names of the groups, instead of the usual ones.
    pub groups: Vec<String>,
    pub messages: Vec<Value>,
    pub frames: Vec<(Option<String>, String, String)>,
    pub requests: Vec<(u64, Request)>,
    pub peers: Vec<(u64, SocketAddr, bool)>,
    pub swallowed_answers: usize,
    /// The answer sent instead of a lost one.
    pub gateway: String,
    pub ended_logins: bool,
    /// Members of groups, if membership is enforced.
    pub joined: Option<Vec<(String, String)>>,
    pub unlikes: bool,
    pub holds_answers: bool,
    pub held_joins: usize,
    pub forgotten_joins: usize,
    pub name: Option<String>,
    pub behind: usize,
    /// How many more joins are refused as busy.
    pub busy: usize,
    /// How many more posts are refused as too many.
    pub limited: usize,
}

impl World {
    pub fn view(&self, replica: u64) -> Value {
        let url = |address: &SocketAddr| format!("http://{address}");
        let own = self
            .peers
            .iter()
            .find(|(number, ..)| *number == replica)
            .unwrap();
        let peers: Vec<_> = self
            .peers
            .iter()
            .filter(|(number, ..)| *number != replica)
            .map(|(number, address, up)| {
                json!({"replica": number, "public_url": url(address), "internal_url": "http://x",
                "status": if *up { "up" } else { "down" },
                "out": "ok", "since": "2026-01-01T00:00:00Z", "last_heard_ms": 40, "rtt_ms": 1,
                    "missing_here": 0, "missing_there": 0})
            })
            .collect();
        json!({"self": {"replica": replica, "epoch": "9f3c07aa", "public_url": url(&own.1),
            "vector": [self.messages.len()]}, "peers": peers})
    }

    pub fn snapshot(&self, group: &str) -> Value {
        let newest = &self.messages[self.messages.len().saturating_sub(10)..];
        json!({"group": group, "online": [{"id": "bob", "name": "bob"}], "online_count": 1,
            "members": [], "members_count": 2,
            "messages": newest, "cursor": format!("c{}", self.frames.len())})
    }

    /// The changes after a cursor, one at a time.
    pub fn changes(&self, request: &Request) -> Value {
        let cursor = parameter(request, "cursor");
        let after: usize = cursor.map_or(self.frames.len(), |cursor| cursor[1..].parse().unwrap());
        let next = self.frames.get(after);
        let events: Vec<_> = next
            .into_iter()
            .map(|(id, event, data)| {
                let data: Value = serde_json::from_str(data).unwrap();
                json!({"event": event, "cursor": id, "data": data})
            })
            .collect();
        let reached = after + events.len();
        json!({"events": events, "cursor": format!("c{reached}"),
            "caught_up": reached == self.frames.len()})
    }

    pub fn page(&self, request: &Request) -> Value {
        let parameter = |name: &str| parameter(request, name);
        let limit: usize = parameter("limit").map_or(50, |limit| limit.parse().unwrap());
        if let Some(before) = parameter("before") {
            let end = self.place_of(&before);
            let begin = end.saturating_sub(limit);
            return json!({"messages": self.messages[begin..end], "has_before": begin > 0,
                "has_after": end < self.messages.len(),
                "cursor": format!("c{}", self.frames.len())});
        }
        let Some(after) = parameter("after") else {
            let newest = &self.messages[self.messages.len().saturating_sub(limit)..];
            return json!({"messages": newest, "has_before": self.messages.len() > limit,
                "has_after": false, "cursor": format!("c{}", self.frames.len())});
        };
        let begin = self
            .messages
            .partition_point(|message| message["position"].as_str().unwrap() <= after.as_str());
        let end = (begin + limit).min(self.messages.len());
        json!({"messages": self.messages[begin..end], "has_before": begin > 0,
            "has_after": end < self.messages.len(), "cursor": format!("c{}", self.frames.len())})
    }

    /// The number of messages before a position.
    fn place_of(&self, position: &str) -> usize {
        self.messages
            .partition_point(|message| message["position"].as_str().unwrap() < position)
    }

    /// A late message, whose position is before that of message `place`, counted from 1.
    pub fn insert_before(&mut self, place: usize, author: &str, text: &str) -> Value {
        let count = self.messages.len() + 1;
        let mut message = message_of(count, author, text);
        let former = self.messages[place - 2]["position"].as_str().unwrap();
        message["position"] = json!(format!("{former}{count:06}"));
        let at = self.place_of(message["position"].as_str().unwrap());
        self.messages.insert(at, message.clone());
        message
    }

    pub fn join(&mut self, group: &str, author: String, request: &Request) -> (u16, Value) {
        if self.held_joins > 0 {
            self.held_joins -= 1;
            return HELD;
        }
        if let Some(members) = &mut self.joined {
            members.push((group.to_owned(), author));
        }
        if self.busy > 0 {
            self.busy -= 1;
            return problem(503, "busy", "too much to do; come back");
        }
        if self.behind > 0 && request.path.contains("at_least=") {
            self.behind -= 1;
            return problem(503, "behind", "not here yet");
        }
        (200, self.snapshot(group))
    }

    pub fn post(&mut self, author: &str, request: &Request) -> (u16, Value) {
        let text = request.body["text"].as_str().unwrap();
        if text.chars().count() > 4000 {
            return problem(422, "invalid", "text: at most 4000 characters");
        }
        if self.limited > 0 {
            self.limited -= 1;
            return problem(429, "rate_limited", "Too many requests. Try again in 1 s.");
        }
        let key = request.header("idempotency-key").unwrap();
        if let Some(known) = self.messages.iter().find(|message| message["key"] == key) {
            return (200, known.clone());
        }
        let mut message = message_of(self.messages.len() + 1, author, text);
        message["key"] = json!(key);
        self.messages.push(message.clone());
        let id = Some(format!("c{}", self.frames.len() + 1));
        self.frames
            .push((id, "message".into(), message.to_string()));
        (201, message)
    }

    pub fn like(&mut self, id: &str, by: &str) -> (u16, Value) {
        let Some(message) = self.messages.iter_mut().find(|message| message["id"] == id) else {
            return problem(404, "not_found", "there is no such message");
        };
        if message["author"]["name"] == by {
            return problem(
                409,
                "own_message",
                "this message is your own, and cannot be liked by you",
            );
        }
        message["likes"] = json!(message["likes"].as_u64().unwrap() + 1);
        let mut data = message.clone();
        data["by"] = json!({"id": by, "name": by});
        let answer = message.clone();
        let frame = (
            Some(format!("c{}", self.frames.len() + 1)),
            "like".to_owned(),
            data.to_string(),
        );
        self.frames.push(frame);
        (200, answer)
    }
}

/// Two pages of one group each.
pub fn groups(named: &[String], request: &Request) -> Value {
    let group = |name: &str, joined: bool| {
        json!({"name": name, "members": 2, "online": 1,
        "joined": joined})
    };
    if !named.is_empty() {
        let groups: Vec<_> = named.iter().map(|name| group(name, false)).collect();
        return json!({"groups": groups});
    }
    if parameter(request, "joined").is_some() {
        return json!({"groups": [group("lobby", true)]});
    }
    match parameter(request, "after").as_deref() {
        None => json!({"groups": [group("lobby", true)], "next": "lobby"}),
        _ => json!({"groups": [group("other", false)]}),
    }
}

/// Two pages of one member each.
pub fn members(request: &Request) -> Value {
    let member = |name: &str, online: bool| json!({"id": name, "name": name, "online": online});
    match parameter(request, "after").as_deref() {
        None => json!({"members": [member("ann", true)], "next": "ann"}),
        _ => json!({"members": [member("bob", false)]}),
    }
}

fn parameter(request: &Request, name: &str) -> Option<String> {
    let query = request.path.split_once('?')?.1;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        .map(str::to_owned)
}

pub fn message_of(number: usize, author: &str, text: &str) -> Value {
    json!({"id": format!("m{number}"), "group": "lobby", "author": {"id": author,
        "name": author}, "text": text,
        "sent_at": "2026-01-01T10:00:00Z", "received_at": "2026-01-01T10:00:00Z", "likes": 0,
            "liked_by": [], "liked": false,
        "origin": 1, "vector": [number],
            "position": format!("0193b3f1a2{number:06x}000100000000{:016x}", number),
        "stored_on": [1], "settled": false})
}

pub fn problem(status: u16, code: &str, detail: &str) -> (u16, Value) {
    (
        status,
        json!({"type": "about:blank", "title": code, "status": status, "detail": detail,
            "code": code, "request_id": "r"}),
    )
}
