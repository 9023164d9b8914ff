//! `groups`, `members`, `view` and `like`.

use causeway_client::{Client, Group, Member, View};
use jiff::tz::TimeZone;
use serde_json::value::RawValue;

use super::Failure;
use super::caller::Caller;
use super::print::Printer;
use crate::clock;
use crate::screen::Style;
use crate::text::sanitised_line;

/// Prints all groups, or those that the user has joined.
pub(super) async fn groups(
    mut caller: Caller,
    mut printer: Printer,
    joined: bool,
) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let asked = async |client: &Client| client.groups(joined, after.as_deref()).await;
        let page = caller.ask(asked).await?;
        for group in &page.groups {
            let shown: Group = parsed(group)?;
            printer.object_or(group, || {
                let joined = if shown.joined { "joined" } else { "-" };
                let name = sanitised_line(&shown.name);
                format!("{name}\t{}\t{}\t{joined}", shown.members, shown.online)
            })?;
        }
        if page.next.is_none() {
            return printer.flush();
        }
        after = page.next;
    }
}

/// Prints the members of a group.
pub(super) async fn members(
    mut caller: Caller,
    group: String,
    mut printer: Printer,
) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let asked = async |client: &Client| client.members(&group, after.as_deref()).await;
        let page = caller.ask(asked).await?;
        for member in &page.members {
            let shown: Member = parsed(member)?;
            printer.object_or(member, || {
                let online = if shown.online { "online" } else { "-" };
                format!("{}\t{online}", sanitised_line(&shown.name))
            })?;
        }
        if page.next.is_none() {
            return printer.flush();
        }
        after = page.next;
    }
}

/// Prints the servers.
pub(super) async fn view(mut caller: Caller, mut printer: Printer) -> Result<(), Failure> {
    let asked = async |client: &Client| client.view_as::<Box<RawValue>>().await;
    let raw = caller.ask(asked).await?;
    if printer.is_json() {
        printer.line(raw.get())?;
        return printer.flush();
    }
    let view: View = parsed(&raw)?;
    let style = Style {
        color: false,
        zone: TimeZone::system(),
    };
    for line in style.view(&view, caller.client().base(), clock::now()) {
        printer.line(&line)?;
    }
    printer.flush()
}

/// Likes a message, or takes the like back.
pub(super) async fn like(
    mut caller: Caller,
    group: String,
    mut printer: Printer,
    message: &str,
    liked: bool,
) -> Result<(), Failure> {
    let asked = async |client: &Client| client.like::<Box<RawValue>>(&group, message, liked).await;
    let written = caller.ask(asked).await?;
    if printer.is_json() {
        printer.line(written.body.get())?;
    }
    printer.flush()
}

/// Parses an object of the API that is also printed as it is.
pub(super) fn parsed<'a, T: serde::Deserialize<'a>>(raw: &'a RawValue) -> Result<T, Failure> {
    serde_json::from_str(raw.get())
        .map_err(|error| Failure::Error(format!("an answer of the server cannot be read: {error}")))
}
