//! `send`: through the outbox, like a message of the chat.

use std::io::IsTerminal as _;

use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::Failure;
use super::caller::Caller;
use super::lists::parsed;
use super::print::Printer;
use crate::client::{CallError, Client, Written};
use crate::outbox::{Keeping, Outbox, Unsent, Verdict, draw_key, judge};
use crate::text::excerpt;
use crate::wire::{Message, NewMessage};

const NOT_UTF8: &str = "nothing of it is sent; convert it first, as in: iconv -f latin1 -t utf-8";

/// Where the text comes from.
pub(super) enum Given {
    Text(String),
    /// All of standard input.
    Input,
    /// Each line of it.
    Lines,
}

impl Given {
    pub(super) fn of(text: Option<String>, lines: bool) -> Self {
        match text {
            Some(text) => Self::Text(text),
            None if lines => Self::Lines,
            None => Self::Input,
        }
    }
}

/// Sends a text, standard input as one text, or each of its lines.
pub(super) async fn run(
    mut caller: Caller,
    keeping: &Keeping,
    group: String,
    printer: Printer,
    given: Given,
) -> Result<(), Failure> {
    let opened = keeping.open(&caller.user);
    let outbox = opened.map_err(|error| error.to_string())?.outbox;
    let cluster = caller.cluster().await?;
    let sender = Sender {
        caller,
        outbox,
        printer,
        cluster,
        group,
    };
    match given {
        Given::Text(text) => sender.send(text).await,
        Given::Lines => sender.send_lines().await,
        Given::Input => sender.send(all_of_input().await?).await,
    }
}

async fn all_of_input() -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        eprintln!("Type the message; Ctrl-D at the beginning of a line sends it, Ctrl-C does not.");
    }
    let mut bytes = Vec::new();
    tokio::io::stdin()
        .read_to_end(&mut bytes)
        .await
        .map_err(|error| format!("standard input cannot be read: {error}"))?;
    String::from_utf8(bytes)
        .map_err(|_| Failure::Told(format!("standard input is not UTF-8: {NOT_UTF8}")))
}

struct Sender {
    caller: Caller,
    outbox: Outbox,
    printer: Printer,
    cluster: String,
    group: String,
}

impl Sender {
    async fn send_lines(mut self) -> Result<(), Failure> {
        let mut input = BufReader::new(tokio::io::stdin());
        let mut line = Vec::new();
        let mut number = 0;
        loop {
            line.clear();
            let read = input.read_until(b'\n', &mut line).await;
            if read.map_err(|error| format!("standard input cannot be read: {error}"))? == 0 {
                return Ok(());
            }
            number += 1;
            let Ok(text) = std::str::from_utf8(&line) else {
                return Err(Failure::Told(format!(
                    "line {number} is not UTF-8: {NOT_UTF8}"
                )));
            };
            if !text.trim().is_empty() {
                self.send_one(text.to_owned()).await?;
            }
        }
    }

    async fn send(mut self, text: String) -> Result<(), Failure> {
        self.send_one(text).await
    }

    async fn send_one(&mut self, text: String) -> Result<(), Failure> {
        if text.trim().is_empty() {
            return Err(Failure::Told("there is no text to send".into()));
        }
        let key = draw_key();
        let unsent = Unsent {
            key: key.clone(),
            group: self.group.clone(),
            text: text.trim_end_matches(['\r', '\n']).to_owned(),
            sent_at: jiff::Timestamp::now().to_string(),
            server: self.caller.client().base().to_owned(),
            cluster: Some(self.cluster.clone()),
            joined: None,
            tried: true,
            refused: None,
            awaits_join: false,
        };
        self.outbox.push(unsent).map_err(|error| {
            format!("not sent: the outbox cannot be written ({error}); make room for it, or add --outbox none")
        })?;
        self.send_until(&key).await
    }

    /// Sends what waits up to this message, in order.
    async fn send_until(&mut self, key: &str) -> Result<(), Failure> {
        while let Some(unsent) = self.outbox.next(&self.cluster, &[]).cloned() {
            let is_last = unsent.key == key;
            if let Err(failure) = self.deliver(unsent).await {
                let is_kept = self
                    .outbox
                    .all()
                    .iter()
                    .any(|kept| kept.key == key && kept.refused.is_none());
                return Err(match failure {
                    Failure::Told(why) if is_kept => Failure::Told(format!(
                        "not sent yet: {why}. It is kept, and sent when causeway runs again as {}",
                        self.caller.user
                    )),
                    failure => failure,
                });
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }

    async fn deliver(&mut self, mut unsent: Unsent) -> Result<(), Failure> {
        self.outbox
            .tried(&unsent.key)
            .map_err(|error| format!("the outbox cannot be written ({error}); make room for it"))?;
        let is_own = unsent.group == self.group;
        loop {
            let asked = async |client: &Client| post(client, &unsent).await;
            let error = match self.caller.once(&asked).await {
                Ok(written) => return self.delivered(&unsent, &written),
                Err(error) => error,
            };
            let may_join = is_own && unsent.joined.is_none();
            if may_join && (error.is("not_a_member") || error.is("not_found")) {
                unsent.joined = Some(self.join().await?);
                continue;
            }
            match judge(&mut unsent, &error) {
                Verdict::Lost | Verdict::Later => self.caller.recover(&error).await?,
                Verdict::LoginEnded => self.caller.login_ended().await?,
                Verdict::AwaitsJoin => {}
                Verdict::Refused => return self.refused(&unsent, &error),
            }
            self.outbox.update(&unsent);
        }
    }

    async fn join(&mut self) -> Result<String, Failure> {
        let group = self.group.clone();
        let asked = async |client: &Client| client.join(&group, None).await;
        let joined = self.caller.ask(asked).await?;
        Ok(joined.mark.unwrap_or_default())
    }

    fn delivered(
        &mut self,
        unsent: &Unsent,
        written: &Written<Box<RawValue>>,
    ) -> Result<(), Failure> {
        self.outbox.sent(&unsent.key);
        let message: Message = parsed(&written.body)?;
        self.printer.object_or(&written.body, || message.id)?;
        self.printer.flush()
    }

    fn refused(&mut self, unsent: &Unsent, error: &CallError) -> Result<(), Failure> {
        let reason = error.to_string();
        let reason = reason.trim_end_matches('.');
        self.outbox.refused(&unsent.key, reason);
        let text = excerpt(&unsent.text, 60);
        Err(Failure::Told(format!(
            "not sent ({text}): {reason}. /outbox in the chat edits or drops it"
        )))
    }
}

async fn post(client: &Client, unsent: &Unsent) -> Result<Written<Box<RawValue>>, CallError> {
    let message = NewMessage {
        text: &unsent.text,
        sent_at: &unsent.sent_at,
        seen: &[],
    };
    client
        .post(&unsent.group, &unsent.key, &message, unsent.at_least())
        .await
}
