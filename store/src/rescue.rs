//! Rejoins a replica after a fork: sets aside the events of the yielding side, and rewrites them
//! under a new epoch.
//!
//! `causeway_domain::rescue` decides which events leave the log and which are rewritten; this
//! module runs the statements. The server must not be running. Every step can be interrupted and
//! repeated: the log changes in one transaction, and a rewritten event is recognised by its
//! content.

mod set_aside;

use std::collections::BTreeMap;

use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::{Dot, Origin};
use causeway_domain::rescue::{Parting, Speakers, Subject};
use causeway_domain::stamp::OrderKey;
use causeway_domain::writing::{Record, Row, draw};
use sqlx::Connection;

use crate::log::connection::{self, Start};
use crate::log::{LOCK, Log, OpenError, Options, ReadError, SubmitError, rows};
use crate::timelines;

/// Events per page.
const PAGE: i64 = 500;

/// A new epoch, and the number of events that left the log for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The origin until now.
    pub former: Origin,
    /// The origin from the next start on.
    pub origin: Origin,
    /// How many events were set aside.
    pub set_aside: u64,
}

/// The outcome for the events that were set aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rescued {
    /// Events that peers returned.
    pub returned: u64,
    /// Messages rewritten.
    pub messages: u64,
    /// Other events rewritten.
    pub others: u64,
    /// Events whose content, or a newer write to the same register, is already in the log.
    pub superseded: u64,
    /// Events still set aside: events of other replicas, of a type unknown to this version.
    pub waiting: u64,
}

/// Why a rescue failed.
#[derive(Debug, thiserror::Error)]
pub enum RescueError {
    /// The database could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log could not be written.
    #[error(transparent)]
    Write(#[from] SubmitError),
}

/// Draws a new epoch for a replica whose server is stopped, in the database and in the file beside
/// it. The same transaction sets aside every event beyond a parting.
pub async fn new_epoch(options: &Options, parting: &Parting) -> Result<Renewal, OpenError> {
    let Start {
        mut connection,
        found,
        sidecar,
        ..
    } = connection::find(options, LOCK).await?;
    let former = found.row.ok_or(OpenError::Empty)?;
    let (file_hlc, file_origin) = (
        found.file.as_ref().map(|file| file.hlc).unwrap_or_default(),
        found.file.as_ref().map(|file| file.origin),
    );
    let mut transaction = connection.begin().await?;
    let set_aside = set_aside_beyond(&mut transaction, parting).await?;
    let (former_origins, highest_set_aside) = set_aside::origins(&mut transaction).await?;
    let origin = draw(options.replica, options.fresh_epoch, |origin| {
        found.head.vector.get(origin) > 0
            || origin == former.origin
            || file_origin == Some(origin)
            || former_origins.contains(&origin)
    });
    let promised = former.reserved.max(file_hlc);
    let reserved = promised.max(found.head.highest).max(highest_set_aside);
    let row = Row {
        origin,
        reserved,
        system_identifier: found.server.system_identifier.clone(),
        timeline: found.server.timeline.clone(),
    };
    rows::store_identity(&mut transaction, &options.cluster, &row).await?;
    transaction.commit().await?;
    // After a crash before this line the file contradicts the database: the next start draws again.
    let record = Record {
        origin,
        seq_seen: 0,
        hlc: reserved,
        system_identifier: found.server.system_identifier,
        timeline: found.server.timeline,
    };
    sidecar
        .write(&record)
        .map_err(|failure| connection::unusable(&sidecar, failure))?;
    connection.close().await?;
    Ok(Renewal {
        former: former.origin,
        origin,
        set_aside,
    })
}

/// Sets aside every event beyond a parting, and clears the read model if there is one.
async fn set_aside_beyond(
    connection: &mut sqlx::PgConnection,
    parting: &Parting,
) -> sqlx::Result<u64> {
    let mut first = None;
    for (&origin, &seq) in &parting.0 {
        let at = set_aside::first_beyond(connection, Dot { origin, seq }).await?;
        first = [first, at].into_iter().flatten().min();
    }
    let Some(mut from) = first else { return Ok(0) };
    let mut removed = Vec::new();
    loop {
        let page = set_aside::page(connection, from, PAGE).await?;
        let Some(&(last, _)) = page.last() else { break };
        from = last + 1;
        let leaves = page
            .iter()
            .filter(|(_, event)| parting.takes(&event.envelope.stamp));
        removed.extend(leaves.map(|&(offset, _)| offset));
    }
    for some in removed.chunks(10_000) {
        set_aside::remove(connection, some).await?;
    }
    set_aside::close_gaps(connection).await?;
    timelines::clear(connection).await?;
    Ok(removed.len() as u64)
}

impl Log {
    /// Rewrites the events that were set aside and are missed, in their old order, under the
    /// current epoch. Calls `on_progress` with the number of events examined so far.
    pub async fn write_again(&self, on_progress: impl Fn(u64)) -> Result<Rescued, RescueError> {
        let mut rescued = Rescued {
            returned: set_aside::mark_returned(self.pool()).await.map_err(read)?,
            ..Rescued::default()
        };
        let mut speakers = Speakers::default();
        let mut last = None;
        loop {
            let page = self.waiting(last.as_ref()).await?;
            for event in &page {
                let key = event.envelope.stamp.order_key();
                speakers.hear(Subject::of(&event.envelope), key);
            }
            let Some(end) = page.into_iter().next_back() else {
                break;
            };
            last = Some(end);
        }
        let (mut last, mut examined) = (None, 0);
        loop {
            let page = self.waiting(last.as_ref()).await?;
            let Some(end) = page.last().cloned() else {
                break;
            };
            last = Some(end);
            examined += page.len() as u64;
            self.write_page_again(page, &speakers, &mut rescued).await?;
            on_progress(examined);
        }
        rescued.waiting = set_aside::count_waiting(self.pool()).await.map_err(read)?;
        Ok(rescued)
    }

    async fn waiting(&self, after: Option<&RawEvent>) -> Result<Vec<RawEvent>, RescueError> {
        Ok(set_aside::waiting(self.pool(), after, PAGE)
            .await
            .map_err(read)?)
    }

    async fn write_page_again(
        &self,
        page: Vec<RawEvent>,
        speakers: &Speakers,
        rescued: &mut Rescued,
    ) -> Result<(), RescueError> {
        let newest = self.newest_keys(&page).await?;
        let (mut missed, mut superseded) = (Vec::new(), Vec::new());
        for event in page {
            let stamp = &event.envelope.stamp;
            let subject = Subject::of(&event.envelope);
            let is_missed = if subject == Subject::Unknown {
                // Only the replica that wrote it knows whether it is already rewritten.
                if stamp.origin.replica != self.origin().replica {
                    continue;
                }
                !self.holds_copy_of(&event).await?
            } else {
                let newest = newest.get(&subject).copied();
                speakers.is_missed(&subject, stamp.order_key(), newest)
            };
            if !is_missed {
                superseded.push(event);
                continue;
            }
            if matches!(subject, Subject::Message { .. }) {
                rescued.messages += 1;
            } else {
                rescued.others += 1;
            }
            missed.push(event);
        }
        rescued.superseded += superseded.len() as u64;
        let outcome = set_aside::mark(self.pool(), &superseded, "superseded");
        outcome.await.map_err(read)?;
        let envelopes = missed.iter().map(|event| (*event.envelope).clone());
        self.restamp(envelopes.collect()).await?;
        let outcome = set_aside::mark(self.pool(), &missed, "rewritten");
        Ok(outcome.await.map_err(read)?)
    }

    /// Returns the highest order key in the log for each subject of some events.
    async fn newest_keys(
        &self,
        events: &[RawEvent],
    ) -> Result<BTreeMap<Subject, OrderKey>, RescueError> {
        let (mut posts, mut groups, mut users) = (Vec::new(), Vec::new(), Vec::new());
        let subjects: Vec<Subject> = events.iter().map(|e| Subject::of(&e.envelope)).collect();
        for subject in &subjects {
            match subject {
                Subject::Message { id } | Subject::Like { message: id, .. } => {
                    posts.push(id.as_str());
                }
                Subject::Membership { group, user } => {
                    groups.push(group.as_str());
                    users.push(user.as_str());
                }
                Subject::Unknown => {}
            }
        }
        let mut held = set_aside::about(self.pool(), "post", &posts, None)
            .await
            .map_err(read)?;
        let members = set_aside::about(self.pool(), "group", &groups, Some(&users));
        held.extend(members.await.map_err(read)?);
        let mut newest = BTreeMap::new();
        for event in held {
            let key = event.envelope.stamp.order_key();
            let highest = newest.entry(Subject::of(&event.envelope)).or_insert(key);
            *highest = key.max(*highest);
        }
        Ok(newest)
    }

    /// Whether the log holds an event with the same content.
    async fn holds_copy_of(&self, event: &RawEvent) -> Result<bool, RescueError> {
        let envelope = &event.envelope;
        let ids = [envelope.id.as_str()];
        let held = set_aside::about(self.pool(), &envelope.aggregate, &ids, None);
        let has_same_content = |other: &RawEvent| {
            let other = &other.envelope;
            (&other.kind, other.at, other.event.get())
                == (&envelope.kind, envelope.at, envelope.event.get())
        };
        Ok(held.await.map_err(read)?.iter().any(has_same_content))
    }
}

fn read(failure: sqlx::Error) -> ReadError {
    ReadError::Database(failure)
}
