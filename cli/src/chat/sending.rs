//! Sending: a message stays in the outbox until a server answers.

use causeway_client::{CallError, Client, Message, NewMessage, Snapshot, Written};
use tokio::time::{Duration, Instant};

use super::{Chat, Connection};
use crate::clock;
use crate::names;
use crate::outbox::{Outcome, Unsent, draw_key, outcome_of};
use crate::text::excerpt;

/// The pause before a message is tried again because the replica lacks its author's join.
const AWAITS_JOIN: Duration = Duration::from_secs(4);

impl Chat {
    /// `a`: sends a message to the current group. It is stored first, then sent at once or as soon
    /// as a server answers. With `kept`, it has been stored since the line was entered.
    pub(super) async fn send(&mut self, text: String, kept: Option<String>) {
        let Some((group, may_wait)) = self.group_to_send() else {
            if let Some(key) = kept {
                // Arrow up recalls the line. If the drop cannot be written, the message is sent
                // later.
                let _ = self.outbox.borrow_mut().drop_message(&key);
            }
            return;
        };
        let mut unsent = Unsent {
            tried: !may_wait,
            ..self.unsent(group, text)
        };
        let is_kept = kept.is_some();
        unsent.key = kept.unwrap_or(unsent.key);
        self.written_here.insert(unsent.key.clone());
        if let Err(why) = self.keep(unsent, is_kept) {
            return self.report_failure(&format!("Not sent: {why}. Arrow up brings the line back"));
        }
        if may_wait {
            let when =
                if matches!(self.connection, Connection::Expired(_)) || self.looks_for_servers() {
                    "as soon as a server answers"
                } else {
                    "once you connect. Type c and a server, as in: c 2"
                };
            self.note(&format!("kept; it will be sent {when}"));
        }
        self.update_terminal();
        self.catch_up().await;
        self.send_what_waits().await;
    }

    /// The group of a message written now, and whether it must wait for a server; otherwise reports
    /// what to do first.
    fn group_to_send(&mut self) -> Option<(String, bool)> {
        let may_wait = matches!(
            self.connection,
            Connection::Lost(_) | Connection::Expired(_)
        ) && self.state.user.is_some();
        if !may_wait && self.logged_in().is_none() {
            return None;
        }
        let Some(group) = self.state.group.clone() else {
            self.report_failure(
                "Not sent: you are in no group. Type j and its name, as in: j lobby",
            );
            return None;
        };
        Some((group, may_wait))
    }

    /// A new message for this cluster.
    pub(super) fn unsent(&self, group: String, text: String) -> Unsent {
        let server = match &self.connection {
            Connection::Connected(client)
            | Connection::LoggedIn(client)
            | Connection::Expired(client) => client.base().to_owned(),
            Connection::Lost(address) => address.clone(),
            Connection::None => String::new(),
        };
        Unsent {
            key: draw_key(),
            group,
            text,
            sent_at: clock::now().to_string(),
            server,
            cluster: self.state.cluster.clone(),
            joined: self.state.join.clone(),
            tried: false,
            refused: None,
            awaits_join: false,
            awaits_turn: false,
        }
    }

    fn keep(&mut self, unsent: Unsent, is_kept: bool) -> Result<(), String> {
        if let Some(fault) = &self.outbox_fault {
            return Err(fault.clone());
        }
        let mut outbox = self.outbox.borrow_mut();
        let kept = if is_kept {
            outbox.take_turn(&unsent)
        } else {
            outbox.push(unsent)
        };
        kept.map_err(|error| unwritable(&error))
    }

    /// Sends waiting messages in order, once the stream has caught up. A group whose message is not
    /// accepted now waits; the others proceed.
    pub(super) async fn send_what_waits(&mut self) {
        if self
            .catching_up
            .is_some_and(|deadline| Instant::now() < deadline)
        {
            return;
        }
        let now = Instant::now();
        self.waits.retain(|(_, until)| *until > now);
        while let (Connection::LoggedIn(client), Some(unsent)) =
            (&self.connection, self.next_unsent())
        {
            let client = client.clone();
            let tried = self.outbox.borrow_mut().tried(&unsent.key);
            if let Err(error) = tried {
                self.waits
                    .push((unsent.group, now + Duration::from_secs(5)));
                self.report_waiting(&unwritable(&error));
                continue;
            }
            let seen = self.state.context.for_post();
            let message = NewMessage {
                text: &unsent.text,
                sent_at: Some(&unsent.sent_at),
                seen: &seen,
                key: Some(&unsent.key),
                wait_for: None,
            };
            let answer = client
                .at_least(unsent.at_least())
                .post(&unsent.group, &message)
                .await;
            match answer {
                Ok(written) => self.sent(&unsent, written),
                Err(error) if may_join(&unsent, &error) => self.join_for(&client, unsent).await,
                Err(error) => self.not_sent(unsent, &error),
            }
        }
    }

    /// Joins for a message that was written while no server answered.
    async fn join_for(&mut self, client: &Client, mut unsent: Unsent) {
        match client.join::<Snapshot>(&unsent.group).await {
            Ok(joined) => {
                unsent.joined = Some(joined.mark.unwrap_or_default());
                self.outbox.borrow_mut().update(&unsent);
            }
            Err(error) => self.not_sent(unsent, &error),
        }
    }

    fn next_unsent(&self) -> Option<Unsent> {
        let cluster = self.state.cluster.as_deref()?;
        let waits: Vec<_> = self.waits.iter().map(|(group, _)| group.clone()).collect();
        let mut unsent = self.outbox.borrow().next(cluster, &waits)?.clone();
        if unsent.joined.is_none() && self.is_present(&unsent.group) {
            unsent.joined.clone_from(&self.state.join);
        }
        Some(unsent)
    }

    fn is_present(&self, group: &str) -> bool {
        let present = self.state.group.as_deref();
        present.is_some_and(|present| names::are_same(present, group))
    }

    fn sent(&mut self, unsent: &Unsent, written: Written<Message>) {
        self.outbox.borrow_mut().sent(&unsent.key);
        self.written_here.remove(&unsent.key);
        self.state.context.mark = written.mark.or(self.state.context.mark.take());
        self.announced.waiting = false;
        if !self.is_present(&unsent.group) {
            let text = excerpt(&unsent.text, 40);
            self.note(&format!("sent to {}: {text}", unsent.group));
        } else if self.state.numbers.of(&written.body.id).is_none() {
            let block = self.new_block_of(&written.body);
            self.output.show_typed(&written.body.id, block);
            self.last_own = Some(written.body);
        }
    }

    fn not_sent(&mut self, mut unsent: Unsent, error: &CallError) {
        match outcome_of(&mut unsent, error) {
            Outcome::Lost => self.lose_server(&error.to_string()),
            Outcome::LoginEnded => self.login_ended(),
            Outcome::AwaitsJoin => self.outbox.borrow_mut().update(&unsent),
            Outcome::Later => {
                // A replica that is asked to wait for a join takes seconds to answer that it still
                // lacks it.
                let wait = if unsent.awaits_join {
                    error.wait().max(AWAITS_JOIN)
                } else {
                    error.wait()
                };
                self.waits.push((unsent.group, Instant::now() + wait));
                self.report_waiting(&error.to_string());
            }
            Outcome::Refused => {
                let reason = error.to_string();
                let reason = reason.trim_end_matches('.');
                self.outbox.borrow_mut().refused(&unsent.key, reason);
                let text = excerpt(&unsent.text, 60);
                let back = if self.written_here.remove(&unsent.key) {
                    "Arrow up brings the line back; /outbox keeps the text"
                } else {
                    "/outbox keeps the text, to edit or drop"
                };
                self.report_failure(&format!("Not sent ({text}): {reason}. {back}"));
            }
        }
    }

    fn report_waiting(&mut self, why: &str) {
        if !std::mem::replace(&mut self.announced.waiting, true) {
            let why = why.trim_end_matches('.');
            self.note(&format!("not sent yet: {why}. It is kept and sent again"));
        }
    }
}

fn may_join(unsent: &Unsent, error: &CallError) -> bool {
    unsent.joined.is_none() && (error.is("not_a_member") || error.is("not_found"))
}

pub(super) fn unwritable(error: &std::io::Error) -> String {
    format!("the outbox cannot be written ({error}); make room for it, or start with --outbox none")
}
