//! Posting, until it is answered or nobody knows.

use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};

use super::page::Page;
use super::{PATIENCE, Writer};
use crate::door::{Answer, Call};
use crate::history::{Event, Outcome};

impl Writer {
    pub(super) async fn post(&mut self) {
        self.number += 1;
        let text = format!("{} {} {}", self.group, self.door.user(), self.number);
        let seen: Vec<&str> = [
            self.last_page.as_ref().map(|page| page.cursor.as_str()),
            self.posted_mark.as_deref(),
        ]
        .into_iter()
        .flatten()
        .collect();
        let body = if seen.is_empty() {
            json!({ "text": text })
        } else {
            json!({ "text": text, "seen": seen })
        };
        // What the two things named as seen cover.
        let read = self.last_page.as_ref().and_then(Page::last_position);
        let after = self.posted_position.clone().max(read);
        let outcome = match self.send(&text, &body).await {
            Sent::Done(given) => {
                self.remember(&text, body, &given);
                Outcome::Done
            }
            Sent::Refused => Outcome::Refused,
            Sent::Unknown => Outcome::Unknown,
        };
        self.history.record(Event::PostEnded {
            text,
            group: self.group.clone(),
            outcome,
            after,
        });
    }

    /// Sends a post that was answered once more, elsewhere: it has to be the same message.
    pub(super) async fn post_again(&mut self) {
        if self.answered.is_empty() {
            return;
        }
        let (text, body, id) = self.rng.pick(&self.answered).clone();
        if let Sent::Done(given) = self.send(&text, &body).await
            && given.body["id"] != *id
        {
            let other = &given.body["id"];
            self.broken("twice", &format!("`{text}` is {id} and {other}"));
        }
    }

    async fn send(&mut self, text: &str, body: &Value) -> Sent {
        let begun = Instant::now();
        let mut sent = Sent::Refused;
        let mut attempt = 0;
        while begun.elapsed() < PATIENCE {
            let replica = self.choose(attempt);
            let call = self.call_to_post(text, body);
            self.history.record(Event::Tried {
                text: text.to_owned(),
                replica,
            });
            let answer = self.door.call(replica, &call).await;
            self.weigh(&answer);
            match answer {
                Answer::Done { body, mark } => return self.answered_by(replica, text, body, mark),
                Answer::Refused(code) if code == "not_a_member" || code == "not_found" => {
                    self.join_at(replica).await;
                }
                Answer::Refused(code) if code == "key_reused" => {
                    self.broken("twice", &format!("the key of `{text}` counts as another's"));
                    return Sent::Unknown;
                }
                Answer::Refused(_) => {}
                Answer::Silent => sent = Sent::Unknown,
            }
            attempt += 1;
            self.rest(50, 300).await;
        }
        sent
    }

    fn call_to_post(&mut self, text: &str, body: &Value) -> Call {
        let wait_for = self.rng.chance(5).then_some("2");
        let at_least = self.posted_mark.clone().filter(|_| self.rng.chance(20));
        self.call(Method::POST, "messages")
            .with("wait_for", wait_for)
            .with("timeout_ms", wait_for.map(|_| "500"))
            .with("at_least", at_least.as_deref())
            .posting(body.clone(), text)
    }

    fn answered_by(&self, replica: u16, text: &str, body: Value, mark: Option<String>) -> Sent {
        let (Some(id), Some(position)) = (body["id"].as_str(), body["position"].as_str()) else {
            self.broken("answers", &format!("a post was answered with {body}"));
            return Sent::Unknown;
        };
        if body["text"] != *text {
            self.broken("answers", &format!("`{text}` was answered with {body}"));
        }
        self.history.record(Event::Posted {
            text: text.to_owned(),
            replica,
            id: id.to_owned(),
            position: position.to_owned(),
        });
        self.note_holders(&body, replica);
        Sent::Done(Given { body, mark })
    }

    fn remember(&mut self, text: &str, body: Value, given: &Given) {
        let said = |field: &str| given.body[field].as_str().map(str::to_owned);
        self.posted_mark.clone_from(&given.mark);
        self.posted_position = said("position");
        self.last_post = said("id");
        if self.rng.chance(10) {
            let id = said("id").unwrap_or_default();
            self.answered.push((text.to_owned(), body, id));
        }
    }
}

enum Sent {
    Done(Given),
    Refused,
    Unknown,
}

struct Given {
    body: Value,
    mark: Option<String>,
}
