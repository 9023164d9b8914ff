//! Likes and memberships: what one user does to one thing, each after the other by causality.

use std::time::Instant;

use reqwest::Method;

use super::{PATIENCE, Writer};
use crate::door::Answer;
use crate::history::{Event, Outcome};

impl Writer {
    /// Joins the group.
    pub async fn join(&mut self) {
        self.change(None, true).await;
    }

    pub(super) async fn leave_and_join(&mut self) {
        self.change(None, false).await;
        self.change(None, true).await;
    }

    pub(super) async fn like_or_unlike(&mut self) {
        let Some(page) = &self.last_page else { return };
        let user = self.door.user();
        // The newest few, so that likes and unlikes of one message meet.
        let others: Vec<String> = page
            .messages
            .iter()
            .rev()
            .take(8)
            .filter(|line| line.author != user)
            .map(|line| line.id.clone())
            .collect();
        if others.is_empty() {
            return;
        }
        let message = self.rng.pick(&others).clone();
        let likes = self.rng.chance(65);
        self.change(Some(message), likes).await;
    }

    /// Joins where a replica does not know of it yet: part of a post, and a join like any other.
    pub(super) async fn join_at(&mut self, replica: u16) {
        self.attempt(None, true, Some(replica)).await;
    }

    async fn change(&mut self, message: Option<String>, sets: bool) {
        self.attempt(message, sets, None).await;
    }

    /// Tries until it is answered, here and there, and notes how it ended.
    async fn attempt(&mut self, message: Option<String>, sets: bool, only_at: Option<u16>) {
        let begun = Instant::now();
        let (mut outcome, mut clean, mut replica) = (Outcome::Refused, true, 0);
        let mut chain = self.chain;
        let mut number = 0;
        while begun.elapsed() < PATIENCE {
            replica = only_at.unwrap_or_else(|| self.choose(number));
            let at_least = self.standing_mark.clone();
            chain = self.chain;
            let call = self.call_to_change(message.as_deref(), sets);
            let call = call.with("at_least", at_least.as_deref());
            let answer = self.door.call(replica, &call).await;
            self.weigh(&answer);
            match answer {
                Answer::Done { mark, .. } => {
                    outcome = Outcome::Done;
                    self.standing_mark = mark.or(at_least);
                    break;
                }
                Answer::Refused(code) => {
                    if is_final(&code) || only_at.is_some() {
                        break;
                    }
                }
                Answer::Silent => {
                    clean = false;
                    outcome = Outcome::Unknown;
                }
            }
            number += 1;
            self.rest(50, 300).await;
        }
        // What may have been done before somebody said no may still be there.
        if outcome == Outcome::Refused && !clean {
            outcome = Outcome::Unknown;
        }
        self.history.record(Event::Standing {
            user: self.door.user().to_owned(),
            group: self.group.clone(),
            message,
            sets,
            outcome,
            clean,
            chain,
            replica,
        });
    }

    fn call_to_change(&self, message: Option<&str>, sets: bool) -> crate::door::Call {
        let method = if sets { Method::PUT } else { Method::DELETE };
        match message {
            Some(id) => self.call(method, &format!("messages/{id}/likes/me")),
            None => self.call(method, "members/me"),
        }
    }
}

/// Whether asking another replica makes no sense. `not_liked` may be answered by one that has not
/// heard of the like; then the taking back is given up, which is as good.
fn is_final(code: &str) -> bool {
    ["own_message", "not_liked", "invalid"].contains(&code)
}
