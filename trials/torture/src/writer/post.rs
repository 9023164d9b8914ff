//! Posts, retried until acknowledged or timed out.

use std::time::{Duration, Instant};

use causeway_client::{Client, NewMessage, Written};
use serde_json::Value;

use super::page::Page;
use super::{PATIENCE, Writer};
use crate::history::{Event, Outcome};
use crate::user::Answer;

/// A message, which may be sent several times. Its text is also its idempotency key.
#[derive(Clone)]
pub(super) struct Post {
    text: String,
    seen: Vec<String>,
}

impl Writer {
    pub(super) async fn post(&mut self) {
        self.number += 1;
        let post = Post {
            text: format!("{} {} {}", self.group, self.user.name(), self.number),
            seen: [
                self.last_page.as_ref().map(|page| page.cursor.clone()),
                self.posted_mark.clone(),
            ]
            .into_iter()
            .flatten()
            .collect(),
        };
        // The highest position that the two marks cover.
        let read = self.last_page.as_ref().and_then(Page::last_position);
        let after = self.posted_position.clone().max(read);
        let outcome = match self.send(&post).await {
            Sent::Done(given) => {
                self.remember(&post, &given);
                Outcome::Done
            }
            Sent::Refused => Outcome::Refused,
            Sent::Unknown => Outcome::Unknown,
        };
        self.history.record(Event::PostEnded {
            text: post.text,
            group: self.group.clone(),
            outcome,
            after,
        });
    }

    /// Sends an acknowledged post again to any replica; it must yield the same message.
    pub(super) async fn post_again(&mut self) {
        if self.answered.is_empty() {
            return;
        }
        let (post, id) = self.rng.pick(&self.answered).clone();
        if let Sent::Done(given) = self.send(&post).await
            && given.body["id"] != *id
        {
            let other = &given.body["id"];
            self.broken("twice", &format!("`{}` is {id} and {other}", post.text));
        }
    }

    async fn send(&mut self, post: &Post) -> Sent {
        let text = &post.text;
        let begun = Instant::now();
        let mut sent = Sent::Refused;
        let mut attempt = 0;
        while begun.elapsed() < PATIENCE {
            let replica = self.choose(attempt);
            let is_durable = self.rng.chance(5);
            let at_least = self.posted_mark.clone().filter(|_| self.rng.chance(20));
            let message = NewMessage {
                text,
                seen: &post.seen,
                key: Some(text),
                wait_for: is_durable.then_some(("2", Duration::from_millis(500))),
                ..NewMessage::default()
            };
            self.history.record(Event::Tried {
                text: text.to_owned(),
                replica,
            });
            let (group, message, at_least) = (&self.group, &message, at_least.as_deref());
            let ask = |client: Client| async move {
                let client = client.at_least(at_least);
                client.post(group, message).await
            };
            let answer = self.user.ask(replica, ask).await;
            self.weigh(&answer);
            match answer {
                Answer::Done(given) => return self.answered_by(replica, text, given),
                Answer::Refused(code) if code == "not_a_member" || code == "not_found" => {
                    self.join_at(replica).await;
                }
                Answer::Refused(code) if code == "key_reused" => {
                    self.broken(
                        "twice",
                        &format!("the key of `{text}` was refused as reused"),
                    );
                    return Sent::Unknown;
                }
                Answer::Refused(_) => {}
                Answer::Unknown => sent = Sent::Unknown,
            }
            attempt += 1;
            self.rest(50, 300).await;
        }
        sent
    }

    fn answered_by(&self, replica: u16, text: &str, given: Written<Value>) -> Sent {
        let body = &given.body;
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
        self.note_holders(body, replica);
        Sent::Done(given)
    }

    fn remember(&mut self, post: &Post, given: &Written<Value>) {
        let said = |field: &str| given.body[field].as_str().map(str::to_owned);
        self.posted_mark.clone_from(&given.mark);
        self.posted_position = said("position");
        self.last_post = said("id");
        if self.rng.chance(10) {
            let id = said("id").unwrap_or_default();
            self.answered.push((post.clone(), id));
        }
    }
}

enum Sent {
    Done(Written<Value>),
    Refused,
    Unknown,
}
