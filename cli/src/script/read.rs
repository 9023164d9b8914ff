//! `history` and `tail`: the messages of a group, and its changes as they happen.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use causeway_client::{Change, Client, Message, Page, Window};
use serde_json::value::RawValue;

use super::Failure;
use super::caller::Caller;
use super::lists::parsed;
use super::print::{Printer, message_line};
use crate::pages::{Pages, first_position};

/// A page whose messages are printed as they are.
type RawPage = Page<Box<RawValue>>;

/// How many of the newest messages a tail begins with.
const NEWEST: u16 = 10;
/// How many message ids are remembered.
const REMEMBERED: usize = 10_000;
/// How long a server may hold a call that waits for changes.
const WAIT: Duration = Duration::from_secs(5);

/// Prints a whole history.
pub(super) async fn history(
    mut caller: Caller,
    group: String,
    mut printer: Printer,
) -> Result<(), Failure> {
    print_all(&mut caller, &group, &mut printer, Form::Message).await?;
    printer.flush()
}

/// How a message is printed as JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Message,
    Change,
}

/// Prints all messages; returns the cursor from which changes follow.
async fn print_all(
    caller: &mut Caller,
    group: &str,
    printer: &mut Printer,
    form: Form,
) -> Result<String, Failure> {
    let newest = caller
        .ask(async |client: &Client| client.page::<RawPage>(group, Window::Newest, 1).await)
        .await?;
    let Some(last) = newest.messages.first() else {
        return Ok(newest.cursor);
    };
    let last: Message = parsed(last)?;
    let mut pages = Pages::<Box<RawValue>>::after(group, first_position(&last.position));
    let mut cursor = None;
    while let Some(fetched) = pages.next(caller.client()).await {
        let page = match fetched {
            Ok(page) => page,
            Err(error) if error.is("unauthenticated") => {
                caller.login_ended().await?;
                continue;
            }
            Err(error) => {
                caller.recover(&error).await?;
                continue;
            }
        };
        caller.answered();
        // Changes that arrive while the pages are read follow the first page's cursor.
        cursor.get_or_insert(page.cursor);
        for message in &page.messages {
            print_message(printer, message, form)?;
        }
        printer.flush()?;
    }
    Ok(cursor.unwrap_or(newest.cursor))
}

fn print_message(printer: &mut Printer, message: &RawValue, form: Form) -> Result<(), Failure> {
    match (printer.is_json(), form) {
        (true, Form::Message) => printer.line(message.get()),
        (true, Form::Change) => printer.line(&format!(
            r#"{{"event":"message","data":{}}}"#,
            message.get()
        )),
        (false, _) => printer.line(&message_line(&parsed(message)?)),
    }
}

/// Prints what is new, and goes on if asked to.
pub(super) async fn tail(
    mut caller: Caller,
    group: String,
    mut printer: Printer,
    from: Option<String>,
    follow: bool,
) -> Result<(), Failure> {
    let mut recent = RecentIds::default();
    let mut cursor = match from.as_deref() {
        None => Some(print_newest(&mut caller, &group, &mut printer).await?),
        Some("START") => Some(print_all(&mut caller, &group, &mut printer, Form::Change).await?),
        Some("NOW") => None,
        Some(cursor) => Some(cursor.to_owned()),
    };
    printer.flush()?;
    // The first answer comes at once, so that a script knows where the tail begins.
    let mut wait = Duration::ZERO;
    loop {
        let asked =
            async |client: &Client| client.changes(&group, cursor.as_deref(), wait, 500).await;
        let changes = caller.ask(asked).await?;
        for raw in &changes.events {
            print_change(&mut printer, raw, &mut recent)?;
        }
        if printer.is_json() && changes.caught_up && wait.is_zero() {
            // If there were no events, this reports the cursor.
            let cursor = serde_json::json!(changes.cursor);
            printer.line(&format!(
                r#"{{"events":[],"cursor":{cursor},"caught_up":true}}"#
            ))?;
        }
        printer.flush()?;
        cursor = Some(changes.cursor);
        if changes.caught_up {
            if !follow {
                return Ok(());
            }
            wait = caller.at_most(WAIT);
        }
    }
}

async fn print_newest(
    caller: &mut Caller,
    group: &str,
    printer: &mut Printer,
) -> Result<String, Failure> {
    let asked = async |client: &Client| client.page::<RawPage>(group, Window::Newest, NEWEST).await;
    let page = caller.ask(asked).await?;
    for message in &page.messages {
        print_message(printer, message, Form::Change)?;
    }
    Ok(page.cursor)
}

/// The messages printed last. Between two replicas that are cut off from each other a message can
/// be delivered a second time.
#[derive(Default)]
struct RecentIds {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl RecentIds {
    /// Whether a message is printed for the first time.
    fn is_new(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

fn print_change(
    printer: &mut Printer,
    raw: &RawValue,
    recent: &mut RecentIds,
) -> Result<(), Failure> {
    let change: Change<'_> = parsed(raw)?;
    if change.event == "message" {
        let message: Message = parsed(change.data)?;
        if !recent.is_new(&message.id) {
            return Ok(());
        }
        if !printer.is_json() {
            return printer.line(&message_line(&message));
        }
    }
    if printer.is_json() {
        return printer.line(raw.get());
    }
    if change.event == "reset" {
        printer.flush()?;
        eprintln!(
            "causeway: the history before this cursor has changed; causeway history prints it as \
             it is now"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_told_once_and_memory_is_bounded() {
        let mut recent = RecentIds::default();

        assert!(recent.is_new("a") && recent.is_new("b"));
        assert!(!recent.is_new("a"));
        for number in 0..2 * REMEMBERED {
            assert!(recent.is_new(&number.to_string()));
        }
        assert_eq!(
            (recent.ids.len(), recent.order.len()),
            (REMEMBERED, REMEMBERED)
        );
    }
}
