//! Likes and memberships: what one user does to one thing, each after the other by causality.

use std::time::Instant;

use causeway_client::{CallError, Client};
use serde::de::IgnoredAny;

use super::{PATIENCE, Writer};
use crate::history::{Event, Outcome};
use crate::user::Answer;

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
        let user = self.user.name();
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
            let mark = self.standing_mark.clone();
            let at_least = mark.as_deref();
            chain = self.chain;
            let (group, id) = (&self.group, message.as_deref());
            let ask = |client: Client| async move {
                change(&client.at_least(at_least), group, id, sets).await
            };
            let answer = self.user.ask(replica, ask).await;
            self.weigh(&answer);
            match answer {
                Answer::Done(newer) => {
                    outcome = Outcome::Done;
                    self.standing_mark = newer.or(mark);
                    break;
                }
                Answer::Refused(code) => {
                    if is_final(&code) || only_at.is_some() {
                        break;
                    }
                }
                Answer::Unknown => {
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
            user: self.user.name().to_owned(),
            group: self.group.clone(),
            message,
            sets,
            outcome,
            clean,
            chain,
            replica,
        });
    }
}

/// Sets or ends a like, or the membership where no message is named; returns the mark.
async fn change(
    client: &Client,
    group: &str,
    message: Option<&str>,
    sets: bool,
) -> Result<Option<String>, CallError> {
    match message {
        Some(id) => Ok(client.like::<IgnoredAny>(group, id, sets).await?.mark),
        None if sets => Ok(client.join::<IgnoredAny>(group).await?.mark),
        None => client.leave(group).await,
    }
}

/// Whether asking another replica makes no sense. `not_liked` may be answered by one that has not
/// heard of the like; then the taking back is given up, which is as good.
fn is_final(code: &str) -> bool {
    ["own_message", "not_liked", "invalid"].contains(&code)
}
