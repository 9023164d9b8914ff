//! Likes and memberships: causally ordered changes of one user to one subject.

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
        // Only the newest few, so that likes and unlikes concern the same messages.
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

    /// Joins at a replica that does not know of the membership yet, as part of a post.
    pub(super) async fn join_at(&mut self, replica: u16) {
        self.attempt(None, true, Some(replica)).await;
    }

    async fn change(&mut self, message: Option<String>, sets: bool) {
        self.attempt(message, sets, None).await;
    }

    /// Retries at any replica until answered, and records the outcome.
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
        // An earlier attempt with an unknown outcome may have been carried out before the refusal.
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

/// Sets or ends a like, or the membership if no message is given; returns the mark.
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

/// Whether a retry at another replica is pointless. `not_liked` may come from a replica that does
/// not hold the like yet; the unlike is then dropped.
fn is_final(code: &str) -> bool {
    ["own_message", "not_liked", "invalid"].contains(&code)
}
