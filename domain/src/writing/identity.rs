//! As whom this database may write: the epoch rule.
//!
//! An epoch goes on only when the database and the file beside it both exist and agree, and the
//! database still holds all that the file has seen. Whatever else happened (a fresh disk, a
//! restored dump, a copy, a failover), a new epoch is drawn, and no number is given out twice
//! (F1, F2, F32).

use serde::{Deserialize, Serialize};

use crate::hlc::Hlc;
use crate::ids::{Epoch, Origin, ReplicaId};

use crate::rule::{self, Rule};

use super::Found;

/// How a start stands to the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// The same epoch goes on.
    Continued,
    /// A new epoch was drawn: there was no former one.
    First,
    /// A new epoch was drawn: this is what could not be proven.
    Renewed(Doubt),
}

/// Why a database is not believed to continue the former one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// The database knows an identity, the file beside it is missing.
    #[error("the file beside the database is missing")]
    NoSidecar,
    /// The file is there, the database is empty.
    #[error("the database is empty but was not before")]
    NoRow,
    /// They name different origins.
    #[error("the database and the file beside it name different origins")]
    OtherOrigin,
    /// Another Postgres, or another timeline of it.
    #[error("this is another Postgres, or another timeline of it, than before")]
    OtherPostgres,
    /// The database has lost events that the file has seen.
    #[error("the database has lost events it had before")]
    LostEvents,
}

/// What the database says of itself.
#[derive(Clone, Debug)]
pub struct Row {
    /// Who writes.
    pub origin: Origin,
    /// The reservation.
    pub reserved: Hlc,
    /// Which Postgres wrote the row.
    pub system_identifier: String,
    /// Which of its timelines.
    pub timeline: String,
}

/// The Postgres that answers now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Drawn by initdb.
    pub system_identifier: String,
    /// Changes at every failover.
    pub timeline: String,
}

/// What the file beside the database says: what the database must still know when it comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Who writes.
    pub origin: Origin,
    /// The highest number known to be committed.
    pub seq_seen: u64,
    /// No promise about the future lies above this reading.
    pub hlc: Hlc,
    /// Which Postgres.
    pub system_identifier: String,
    /// Which of its timelines.
    pub timeline: String,
}

impl Found {
    /// Tells whether the former epoch goes on, and who is written as from now on.
    pub(super) fn judge(&self, replica: ReplicaId, fresh_epoch: u32) -> (Beginning, Origin) {
        let (row, file) = (self.row.as_ref(), self.file.as_ref());
        let held = row.map_or(0, |row| self.head.vector.get(row.origin));
        let mut beginning = judge(replica, row, file, held, &self.server);
        let is_waved_through = !rule::holds(Rule::EpochIsProven)
            || !rule::holds(Rule::FileIsAsked)
                && !matches!(beginning, Beginning::Renewed(Doubt::OtherPostgres));
        if row.is_some() && is_waved_through {
            beginning = Beginning::Continued;
        }
        let origin = match (beginning, row) {
            (Beginning::Continued, Some(row)) => row.origin,
            _ => draw(replica, fresh_epoch, |origin| {
                self.head.vector.get(origin) > 0 || file.is_some_and(|file| file.origin == origin)
            }),
        };
        (beginning, origin)
    }
}

/// Tells whether the former epoch goes on. `held` is the highest number in the database of the
/// origin that its row names.
fn judge(
    replica: ReplicaId,
    row: Option<&Row>,
    file: Option<&Record>,
    held: u64,
    server: &Server,
) -> Beginning {
    let (row, file) = match (row, file) {
        (None, None) => return Beginning::First,
        (None, Some(_)) => return Beginning::Renewed(Doubt::NoRow),
        (Some(_), None) => return Beginning::Renewed(Doubt::NoSidecar),
        (Some(row), Some(file)) => (row, file),
    };
    if row.origin != file.origin || row.origin.replica != replica {
        return Beginning::Renewed(Doubt::OtherOrigin);
    }
    let names_server = |system_identifier: &String, timeline: &String| {
        *system_identifier == server.system_identifier && *timeline == server.timeline
    };
    if !names_server(&row.system_identifier, &row.timeline)
        || !names_server(&file.system_identifier, &file.timeline)
    {
        return Beginning::Renewed(Doubt::OtherPostgres);
    }
    if held < file.seq_seen {
        return Beginning::Renewed(Doubt::LostEvents);
    }
    Beginning::Continued
}

/// Draws an epoch that this replica has not used, from 32 fresh random bits.
pub fn draw(replica: ReplicaId, fresh: u32, used: impl Fn(Origin) -> bool) -> Origin {
    (0..=u32::MAX)
        .map(|step| Origin {
            replica,
            epoch: Epoch(fresh.wrapping_add(step)),
        })
        .find(|&origin| !used(origin))
        .expect("a replica has not used four thousand million epochs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(replica: u16, epoch: u32) -> Origin {
        Origin {
            replica: ReplicaId::new(replica).unwrap(),
            epoch: Epoch(epoch),
        }
    }

    fn server() -> Server {
        Server {
            system_identifier: "7".into(),
            timeline: "00000001".into(),
        }
    }

    fn row() -> Row {
        Row {
            origin: origin(1, 9),
            reserved: Hlc::default(),
            system_identifier: server().system_identifier,
            timeline: server().timeline,
        }
    }

    fn file(seq_seen: u64) -> Record {
        Record {
            origin: origin(1, 9),
            seq_seen,
            hlc: Hlc::default(),
            system_identifier: server().system_identifier,
            timeline: server().timeline,
        }
    }

    fn judged(row: Option<&Row>, file: Option<&Record>, held: u64) -> Beginning {
        judge(ReplicaId::new(1).unwrap(), row, file, held, &server())
    }

    #[test]
    fn an_epoch_goes_on_only_when_database_and_file_agree() {
        assert_eq!(
            judged(Some(&row()), Some(&file(5)), 5),
            Beginning::Continued
        );
        assert_eq!(
            judged(Some(&row()), Some(&file(5)), 6),
            Beginning::Continued
        );
        assert_eq!(judged(None, None, 0), Beginning::First);
    }

    #[test]
    fn whatever_cannot_be_proven_draws_a_new_epoch() {
        let renewed = |doubt| Beginning::Renewed(doubt);

        assert_eq!(judged(None, Some(&file(5)), 0), renewed(Doubt::NoRow));
        assert_eq!(judged(Some(&row()), None, 5), renewed(Doubt::NoSidecar));
        assert_eq!(
            judged(Some(&row()), Some(&file(6)), 5),
            renewed(Doubt::LostEvents)
        );
        let mut copied = row();
        copied.system_identifier = "8".into();
        assert_eq!(
            judged(Some(&copied), Some(&file(5)), 5),
            renewed(Doubt::OtherPostgres)
        );
        let mut promoted = file(5);
        promoted.timeline = "00000002".into();
        assert_eq!(
            judged(Some(&row()), Some(&promoted), 5),
            renewed(Doubt::OtherPostgres)
        );
        let mut other = row();
        other.origin = origin(1, 10);
        assert_eq!(
            judged(Some(&other), Some(&file(5)), 5),
            renewed(Doubt::OtherOrigin)
        );
    }

    #[test]
    fn an_epoch_is_never_drawn_twice() {
        let drawn = draw(ReplicaId::new(1).unwrap(), u32::MAX, |used| {
            used == origin(1, u32::MAX)
        });

        assert_eq!(drawn, origin(1, 0));
    }
}
