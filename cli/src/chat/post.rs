//! What is written: kept until it is answered.

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Chat, Link};
use crate::client::{CallError, Written};
use crate::outbox::{Unsent, draw_key};
use crate::text::excerpt;
use crate::wire::{Message, NewMessage};

impl Chat {
    /// `a`: a message to the present group. Sent at once, or as soon as a server answers.
    pub(super) async fn send(&mut self, text: String) {
        let may_wait = matches!(self.link, Link::Lost(_)) && self.state.user.is_some();
        if !may_wait && self.logged_in().is_none() {
            return;
        }
        let Some(group) = self.state.group.clone() else {
            return self
                .complain("Not sent: you are in no group. Type j and its name, as in: j lobby");
        };
        self.outbox.push(Unsent {
            key: draw_key(),
            group,
            text,
            sent_at: Timestamp::now().to_string(),
        });
        if may_wait {
            self.note("kept; it is sent as soon as a server answers");
        }
        self.catch_up().await;
        self.send_what_waits().await;
    }

    /// Sends what waits, one after the other, once the stream has caught up; stops at the first
    /// that is not answered.
    pub(super) async fn send_what_waits(&mut self) {
        if self
            .catching_up
            .is_some_and(|deadline| Instant::now() < deadline)
        {
            return;
        }
        while let (Link::LoggedIn(client), Some(unsent)) =
            (&self.link, self.outbox.first().cloned())
        {
            let client = client.clone();
            let seen = self.state.seen.for_post();
            let message = NewMessage {
                text: &unsent.text,
                sent_at: &unsent.sent_at,
                seen: &seen,
            };
            match client
                .post(&unsent.group, &unsent.key, &message, None)
                .await
            {
                Ok(written) => self.sent(&unsent, written),
                Err(error) if error.passes() => return self.tell_of_waiting(&error),
                Err(error) if error.is_lost() => return self.lose(&error.to_string()),
                Err(error) if error.is("unauthenticated") => return self.login_ended(),
                Err(error) => {
                    self.outbox.answered(&unsent.key);
                    let text = excerpt(&unsent.text, 30);
                    let error = error.to_string();
                    let error = error.trim_end_matches('.');
                    self.complain(&format!(
                        "Not sent ({text}): {error}. Arrow up brings the line back"
                    ));
                }
            }
        }
    }

    fn sent(&mut self, unsent: &Unsent, written: Written<Message>) {
        self.outbox.answered(&unsent.key);
        self.state.seen.mark = written.mark.or(self.state.seen.mark.take());
        self.told.waiting = false;
        let is_of_this_group = self.state.group.as_ref() == Some(&unsent.group);
        if is_of_this_group && self.state.numbers.of(&written.body.id).is_none() {
            let line = self.line_of(&written.body);
            self.output.show_typed(&written.body.id, line);
            self.last_own = Some(written.body);
        }
    }

    fn tell_of_waiting(&mut self, error: &CallError) {
        if !std::mem::replace(&mut self.told.waiting, true) {
            self.note(&format!("not sent yet: {error}. It is kept and sent again"));
        }
    }
}
