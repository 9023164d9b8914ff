//! `inspect`: the history and the state of one aggregate, read through cqrs-es, also while the
//! server of the replica runs.

use std::fmt::Write as _;

use causeway_domain::aggregate::Stamped;
use causeway_domain::event::Event;
use causeway_domain::group::{Group, GroupEvent};
use causeway_domain::names::{GroupName, User};
use causeway_domain::post::{Post, PostEvent};
use causeway_store::log::{EventRepository, History, OFFSET};
use cqrs_es::{Aggregate, EventEnvelope};
use jiff::Timestamp;

use crate::config::Config;
use crate::database::Database;
use crate::failure::UserError;

/// Which aggregate is meant.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// A group, by its name.
    Group(String),
    /// A message with its likes, by its id.
    Post(String),
}

/// Reads an aggregate of a replica. Returns what was found, for people; the texts of messages only
/// where they are asked for.
pub async fn inspect(config: Config, wanted: Wanted, with_texts: bool) -> anyhow::Result<String> {
    let database = Database::open_beside(&config).await?;
    let found = inspect_in(&config, &database.url, wanted, with_texts).await;
    database.close().await;
    found
}

async fn inspect_in(
    config: &Config,
    url: &str,
    wanted: Wanted,
    with_texts: bool,
) -> anyhow::Result<String> {
    let events = EventRepository::open(url, &config.cluster, config.replica).await?;
    match wanted {
        Wanted::Group(name) => {
            let name = GroupName::parse(&name).map_err(|error| UserError(error.to_string()))?;
            let found = events.history::<Group>(name.as_str()).await?;
            shown(found, name.as_str(), said_in_group)
        }
        Wanted::Post(id) => {
            let found = events.history::<Post>(&id).await?;
            shown(found, &id, |event| said_of_post(event, with_texts))
        }
    }
}

/// Who did something, and what is to be told beside.
type Said<'a> = (Option<&'a User>, Option<&'a str>);

fn said_in_group(event: &GroupEvent) -> Said<'_> {
    match event {
        GroupEvent::MemberJoined { user } | GroupEvent::MemberLeft { user } => (Some(user), None),
        GroupEvent::Unknown => (None, None),
    }
}

fn said_of_post(event: &PostEvent, with_texts: bool) -> Said<'_> {
    match event {
        PostEvent::MessagePosted { author, text, .. } => {
            (Some(author), with_texts.then_some(text.as_str()))
        }
        PostEvent::MessageLiked { user } | PostEvent::MessageUnliked { user } => (Some(user), None),
        PostEvent::Unknown => (None, None),
    }
}

fn shown<A, E>(
    found: Option<History<A>>,
    id: &str,
    said: impl Fn(&E) -> Said<'_>,
) -> anyhow::Result<String>
where
    A: Aggregate<Event = Stamped<E>>,
    E: Event,
{
    let History { events, state } =
        found.ok_or_else(|| UserError(format!("this replica holds no {} `{id}`", A::TYPE)))?;
    let mut out = format!("{} {id}, events: {}\n", A::TYPE, events.len());
    let _ = writeln!(
        out,
        "{:>8}  {:24}  {:16}  {:>16}  {:14}  by",
        "offset", "time", "clock", "dot", "type"
    );
    for event in &events {
        line(&mut out, event, &said(&event.payload.event))?;
    }
    let state = serde_json::to_string_pretty(&state)?;
    let _ = writeln!(out, "state: {state}");
    Ok(out)
}

fn line<A, E>(out: &mut String, event: &EventEnvelope<A>, said: &Said<'_>) -> anyhow::Result<()>
where
    A: Aggregate<Event = Stamped<E>>,
{
    let envelope = &event.payload.envelope;
    let stamp = &envelope.stamp;
    let offset = event.metadata.get(OFFSET).map_or("-", String::as_str);
    let time = Timestamp::from_millisecond(envelope.at)?;
    let (clock, dot) = (stamp.hlc.get(), stamp.dot().to_string());
    // Nothing received from a peer may steer the terminal.
    let kind = envelope.kind.escape_debug().to_string();
    let _ = write!(
        out,
        "{offset:>8}  {time:.3}  {clock:016x}  {dot:>16}  {kind:14}"
    );
    match said.0 {
        Some(user) => {
            let _ = write!(
                out,
                "  {} ({})",
                user.name.escape_debug(),
                user.id.0.escape_debug()
            );
        }
        None => out.push_str("  - (not readable by this version)"),
    }
    if let Some(text) = said.1 {
        let _ = write!(out, "  {text:?}");
    }
    out.push('\n');
    Ok(())
}
