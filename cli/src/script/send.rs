//! `send`: sends through the outbox, as the chat does.

use std::io::IsTerminal as _;

use causeway_client::{CallError, Client, Message, NewMessage, Snapshot, Written};
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::Failure;
use super::caller::Caller;
use super::lists::parsed;
use super::print::Printer;
use crate::clock;
use crate::outbox::{Outbox, Outcome, Storage, Unsent, draw_key, outcome_of};
use crate::text::{excerpt, is_blank, lines_of, without_mark};

const NOT_UTF8: &str = "nothing of it is sent; convert it first, as in: iconv -f latin1 -t utf-8";

/// Where the text comes from.
pub(super) enum TextSource {
    Text(String),
    /// All of standard input.
    Input,
    /// Each line of it.
    Lines,
}

impl TextSource {
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
    storage: &Storage,
    group: String,
    printer: Printer,
    source: TextSource,
) -> Result<(), Failure> {
    let opened = storage.open(&caller.user);
    let outbox = opened.map_err(|error| error.to_string())?.outbox;
    let cluster = caller.cluster().await?;
    let sender = Sender {
        caller,
        outbox,
        keeps: matches!(storage, Storage::Folder(_)),
        printer,
        cluster,
        group,
    };
    match source {
        TextSource::Text(text) => sender.send(text).await,
        TextSource::Lines => sender.send_lines().await,
        TextSource::Input => sender.send(all_of_input().await?).await,
    }
}

/// Before a login the cluster is unknown, so the message cannot be stored for it.
pub(super) fn not_kept(failure: Failure) -> Failure {
    match failure {
        Failure::Error(why) => Failure::Error(format!("not sent, and not kept: {why}")),
        Failure::OutputClosed => Failure::OutputClosed,
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
    let bytes = without_mark(&bytes).to_owned();
    String::from_utf8(bytes)
        .map_err(|_| Failure::Error(format!("standard input is not UTF-8: {NOT_UTF8}")))
}

/// Why a message is not delivered.
enum Undelivered {
    /// A server refuses it; a sentence.
    Refused(String),
    /// No server answered in time.
    Failed(Failure),
}

impl From<Failure> for Undelivered {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

struct Sender {
    caller: Caller,
    outbox: Outbox,
    /// Whether unsent messages are stored for the next run.
    keeps: bool,
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
            let bytes = if number == 0 {
                without_mark(&line)
            } else {
                &line
            };
            for line in lines_of(bytes) {
                number += 1;
                self.send_line(number, line).await?;
            }
        }
    }

    async fn send_line(&mut self, number: u64, line: &[u8]) -> Result<(), Failure> {
        let Ok(text) = std::str::from_utf8(line) else {
            return Err(Failure::Error(format!(
                "line {number} is not UTF-8: {NOT_UTF8}"
            )));
        };
        if is_blank(text) {
            return Ok(());
        }
        let sent = self.send_one(text.to_owned()).await;
        sent.map_err(|failure| of_line(number, failure))
    }

    async fn send(mut self, text: String) -> Result<(), Failure> {
        self.send_one(text).await
    }

    async fn send_one(&mut self, text: String) -> Result<(), Failure> {
        // Nothing goes into the outbox that every server must refuse.
        if is_blank(&text) {
            return Err(Failure::Error("there is no text to send".into()));
        }
        if text.chars().any(is_refused_control) {
            let why = "not sent: a message has no control characters but line feed and tab";
            return Err(Failure::Error(why.into()));
        }
        let key = draw_key();
        let unsent = Unsent {
            key: key.clone(),
            group: self.group.clone(),
            text: text.trim_end_matches(['\r', '\n']).to_owned(),
            sent_at: clock::now().to_string(),
            server: self.caller.client().base().to_owned(),
            cluster: Some(self.cluster.clone()),
            joined: None,
            tried: true,
            refused: None,
            awaits_join: false,
            awaits_turn: false,
        };
        self.outbox.push(unsent).map_err(|error| {
            format!(
                "not sent: the outbox cannot be written ({error}); make room for it, or add \
                --outbox none"
            )
        })?;
        self.send_until(&key).await
    }

    /// Sends what waits, in order, up to this message.
    async fn send_until(&mut self, key: &str) -> Result<(), Failure> {
        while let Some(unsent) = self.outbox.next(&self.cluster, &[]).cloned() {
            let is_own = unsent.key == key;
            match self.deliver(unsent).await {
                Ok(message) if is_own => {
                    let shown: Message = parsed(&message)?;
                    self.printer.object_or(&message, || shown.id)?;
                    return self.printer.flush();
                }
                Ok(_) => {}
                Err(Undelivered::Refused(why)) if is_own => return Err(Failure::Error(why)),
                // An earlier message stays to be edited, and does not hold up the others.
                Err(Undelivered::Refused(why)) => {
                    eprintln!("causeway: an earlier message is {why}");
                }
                Err(Undelivered::Failed(Failure::Error(why))) if self.keeps => {
                    return Err(Failure::Error(format!(
                        "not sent yet: {why}. It is kept, and sent when causeway runs again as {}",
                        self.caller.user
                    )));
                }
                Err(Undelivered::Failed(failure)) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Sends a message; returns it as the server stored it.
    async fn deliver(&mut self, mut unsent: Unsent) -> Result<Box<RawValue>, Undelivered> {
        self.outbox.tried(&unsent.key).map_err(|error| {
            Failure::Error(format!(
                "the outbox cannot be written ({error}); make room for it"
            ))
        })?;
        loop {
            let asked = async |client: &Client| post(client, &unsent).await;
            let error = match self.caller.once(&asked).await {
                Ok(written) => {
                    self.outbox.sent(&unsent.key);
                    return Ok(written.body);
                }
                Err(error) => error,
            };
            // It was written while no server answered, so its author could not join yet.
            let may_join = unsent.joined.is_none();
            if may_join && (error.is("not_a_member") || error.is("not_found")) {
                unsent.joined = Some(self.join(&unsent.group).await?);
                continue;
            }
            match outcome_of(&mut unsent, &error) {
                Outcome::Lost | Outcome::Later => self.caller.recover(&error).await?,
                Outcome::LoginEnded => self.caller.login_ended().await?,
                Outcome::AwaitsJoin => {}
                Outcome::Refused => return Err(self.refused(&unsent, &error)),
            }
            self.outbox.update(&unsent);
        }
    }

    async fn join(&mut self, group: &str) -> Result<String, Failure> {
        let asked = async |client: &Client| client.join::<Snapshot>(group).await;
        let joined = self.caller.ask(asked).await?;
        Ok(joined.mark.unwrap_or_default())
    }

    fn refused(&mut self, unsent: &Unsent, error: &CallError) -> Undelivered {
        let reason = error.to_string();
        let reason = reason.trim_end_matches('.');
        self.outbox.refused(&unsent.key, reason);
        let text = excerpt(&unsent.text, 60);
        Undelivered::Refused(format!(
            "not sent ({text}): {reason}. /outbox in the chat edits or drops it"
        ))
    }
}

fn is_refused_control(c: char) -> bool {
    c.is_control() && !['\n', '\r', '\t'].contains(&c)
}

/// Nothing is read after a line that fails: later lines would be stored before it.
fn of_line(number: u64, failure: Failure) -> Failure {
    match failure {
        Failure::Error(why) => Failure::Error(format!(
            "line {number}: {why}. The lines after it are not sent"
        )),
        Failure::OutputClosed => Failure::OutputClosed,
    }
}

async fn post(client: &Client, unsent: &Unsent) -> Result<Written<Box<RawValue>>, CallError> {
    let message = NewMessage {
        text: &unsent.text,
        sent_at: Some(&unsent.sent_at),
        key: Some(&unsent.key),
        ..NewMessage::default()
    };
    let client = client.at_least(unsent.at_least());
    client.post(&unsent.group, &message).await
}
