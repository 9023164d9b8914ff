//! Brings a replica back to the others after a fork: sets the events of the side that yields aside,
//! and writes them again under a new epoch.
//!
//! What leaves and what is written again is decided in `causeway_domain::rescue`; this is its hand.
//! The server must not be running. Every step can be cut off and done again: the log changes in one
//! transaction, and what is written again is known by what it says.

mod aside;

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

/// Events read at once.
const PAGE: i64 = 500;

/// A new epoch, and what had to leave for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// Who was written as until now.
    pub former: Origin,
    /// Who is written as from the next start on.
    pub origin: Origin,
    /// How many events were set aside.
    pub set_aside: u64,
}

/// What became of the events that waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rescued {
    /// Peers gave them again.
    pub returned: u64,
    /// Messages written again.
    pub messages: u64,
    /// Other events written again.
    pub others: u64,
    /// What they said is there already, or something newer.
    pub superseded: u64,
    /// Still set aside: events of other replicas of which this version does not know the type.
    pub waiting: u64,
}

/// Why a rescue came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RescueError {
    /// The database failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log does not write.
    #[error(transparent)]
    Write(#[from] SubmitError),
}

/// Draws a new epoch for a replica whose server does not run, in the database and beside it. In the
/// same transaction every event beyond a parting leaves the log.
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
    let set_aside = sever(&mut transaction, parting).await?;
    let (aside, highest_aside) = aside::origins_aside(&mut transaction).await?;
    let origin = draw(options.replica, options.fresh_epoch, |origin| {
        found.head.vector.get(origin) > 0
            || origin == former.origin
            || file_origin == Some(origin)
            || aside.contains(&origin)
    });
    let promised = [former.reserved, file_hlc, found.head.highest, highest_aside];
    let reserved = promised.into_iter().max().unwrap_or_default();
    let row = Row {
        origin,
        reserved,
        system_identifier: found.server.system_identifier.clone(),
        timeline: found.server.timeline.clone(),
    };
    rows::store_identity(&mut transaction, &options.cluster, &row).await?;
    transaction.commit().await?;
    // Where this is not reached, the file contradicts the database and the next start draws anew.
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

/// Takes what lies beyond a parting out of the log; the read model is to be built anew then.
async fn sever(connection: &mut sqlx::PgConnection, parting: &Parting) -> sqlx::Result<u64> {
    let mut first = None;
    for (&origin, &seq) in &parting.0 {
        let at = aside::first_beyond(connection, Dot { origin, seq }).await?;
        first = [first, at].into_iter().flatten().min();
    }
    let Some(mut from) = first else { return Ok(0) };
    let mut taken = Vec::new();
    loop {
        let page = aside::page(connection, from, PAGE).await?;
        let Some(&(last, _)) = page.last() else { break };
        from = last + 1;
        let leaves = page
            .iter()
            .filter(|(_, event)| parting.takes(&event.envelope.stamp));
        taken.extend(leaves.map(|&(arrival, _)| arrival));
    }
    for some in taken.chunks(10_000) {
        aside::set_aside(connection, some).await?;
    }
    aside::close_gaps(connection).await?;
    timelines::clear(connection).await?;
    Ok(taken.len() as u64)
}

impl Log {
    /// Writes again what was set aside and is missed, in its old order, under the present epoch.
    /// Calls `on_progress` with how many events have been looked at.
    pub async fn write_again(&self, on_progress: impl Fn(u64)) -> Result<Rescued, RescueError> {
        let mut rescued = Rescued {
            returned: aside::mark_returned(self.pool()).await.map_err(read)?,
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
        let (mut last, mut seen) = (None, 0);
        loop {
            let page = self.waiting(last.as_ref()).await?;
            let Some(end) = page.last().cloned() else {
                break;
            };
            last = Some(end);
            seen += page.len() as u64;
            self.write_page_again(page, &speakers, &mut rescued).await?;
            on_progress(seen);
        }
        rescued.waiting = aside::count_waiting(self.pool()).await.map_err(read)?;
        Ok(rescued)
    }

    async fn waiting(&self, after: Option<&RawEvent>) -> Result<Vec<RawEvent>, RescueError> {
        Ok(aside::waiting(self.pool(), after, PAGE)
            .await
            .map_err(read)?)
    }

    async fn write_page_again(
        &self,
        page: Vec<RawEvent>,
        speakers: &Speakers,
        rescued: &mut Rescued,
    ) -> Result<(), RescueError> {
        let decided = self.decided(&page).await?;
        let (mut missed, mut superseded) = (Vec::new(), Vec::new());
        for event in page {
            let stamp = &event.envelope.stamp;
            let subject = Subject::of(&event.envelope);
            let is_missed = if subject == Subject::Unknown {
                // Only its own replica knows whether it said it again already.
                if stamp.origin.replica != self.origin().replica {
                    continue;
                }
                !self.is_said(&event).await?
            } else {
                let decided = decided.get(&subject).copied();
                speakers.is_missed(&subject, stamp.order_key(), decided)
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
        let outcome = aside::mark(self.pool(), &superseded, "superseded");
        outcome.await.map_err(read)?;
        let envelopes = missed.iter().map(|event| (*event.envelope).clone());
        self.restamp(envelopes.collect()).await?;
        let outcome = aside::mark(self.pool(), &missed, "rewritten");
        Ok(outcome.await.map_err(read)?)
    }

    /// The highest order key of what the log holds about each subject of some events.
    async fn decided(
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
        let mut held = aside::about(self.pool(), "post", &posts, None)
            .await
            .map_err(read)?;
        let members = aside::about(self.pool(), "group", &groups, Some(&users));
        held.extend(members.await.map_err(read)?);
        let mut decided = BTreeMap::new();
        for event in held {
            let key = event.envelope.stamp.order_key();
            let newest = decided.entry(Subject::of(&event.envelope)).or_insert(key);
            *newest = key.max(*newest);
        }
        Ok(decided)
    }

    /// Tells whether the log holds an event that says just the same.
    async fn is_said(&self, event: &RawEvent) -> Result<bool, RescueError> {
        let envelope = &event.envelope;
        let ids = [envelope.id.as_str()];
        let held = aside::about(self.pool(), &envelope.aggregate, &ids, None);
        let says_the_same = |other: &RawEvent| {
            let other = &other.envelope;
            (&other.kind, other.at, other.event.get())
                == (&envelope.kind, envelope.at, envelope.event.get())
        };
        Ok(held.await.map_err(read)?.iter().any(says_the_same))
    }
}

fn read(failure: sqlx::Error) -> ReadError {
    ReadError::Database(failure)
}
