//! The epoch rule: the origin under which this database may write.
//!
//! A start continues the epoch only if the database and the file beside it both exist and agree,
//! and the database still holds every own event that the file has recorded. In every other case (a
//! new disk, a restored dump, a copy, a failover) it draws a new epoch, so that no seq is issued
//! twice (F1, F2, F32).

use serde::{Deserialize, Serialize};

use crate::hlc::Hlc;
use crate::ids::{Epoch, Origin, ReplicaId};

use crate::mutant;

use super::Found;

/// How a start relates to the previous one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// The epoch is continued.
    Continued,
    /// A new epoch was drawn, because there is no previous one.
    First,
    /// A new epoch was drawn, because continuity could not be proven.
    Renewed(Doubt),
}

/// Why the continuity of a database cannot be proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// The identity row exists, but the file beside the database is missing.
    #[error("the file beside the database is missing")]
    NoSidecar,
    /// The file exists, but the database is empty.
    #[error("the database is empty, but the file beside it is not")]
    NoRow,
    /// The database and the file name different origins.
    #[error("the database and the file beside it name different origins")]
    OtherOrigin,
    /// The Postgres instance, or its timeline, has changed.
    #[error("the Postgres instance or its timeline has changed")]
    OtherPostgres,
    /// The database lacks own events that the file has recorded.
    #[error("the database has lost committed events")]
    LostEvents,
}

/// The identity row of the database.
#[derive(Clone, Debug)]
pub struct Row {
    /// The origin of own events.
    pub origin: Origin,
    /// The reservation.
    pub reserved: Hlc,
    /// The system identifier of the Postgres instance that wrote the row.
    pub system_identifier: String,
    /// Its timeline.
    pub timeline: String,
}

/// A Postgres instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The system identifier, drawn by initdb.
    pub system_identifier: String,
    /// The timeline, which changes at every failover.
    pub timeline: String,
}

/// The content of the file beside the database: what the database must still hold at the next
/// start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The origin of own events.
    pub origin: Origin,
    /// The highest own seq known to be committed.
    pub seq_seen: u64,
    /// The reservation: no closed timestamp lies above this reading.
    pub hlc: Hlc,
    /// The system identifier of the Postgres instance.
    pub system_identifier: String,
    /// Its timeline.
    pub timeline: String,
}

impl Found {
    /// Decides whether the epoch is continued, and returns the origin of own events.
    pub(super) fn judge(&self, replica: ReplicaId, fresh_epoch: u32) -> (Beginning, Origin) {
        let (row, file) = (self.row.as_ref(), self.file.as_ref());
        let held = row.map_or(0, |row| self.head.vector.get(row.origin));
        let beginning = checked(row, judge(replica, row, file, held, &self.server));
        let origin = match (beginning, row) {
            (Beginning::Continued, Some(row)) => row.origin,
            _ => draw(replica, fresh_epoch, |origin| {
                self.head.vector.get(origin) > 0 || file.is_some_and(|file| file.origin == origin)
            }),
        };
        (beginning, origin)
    }
}

/// Returns what was decided. The mutants continue an epoch that was not proven.
fn checked(row: Option<&Row>, decided: Beginning) -> Beginning {
    if row.is_some() {
        mutant!(EpochIsProven => Beginning::Continued);
        if !matches!(decided, Beginning::Renewed(Doubt::OtherPostgres)) {
            mutant!(FileIsAsked => Beginning::Continued);
        }
    }
    decided
}

/// Decides whether the epoch is continued. `held` is the highest seq in the database of the origin
/// in its row.
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

/// Returns an origin with an unused epoch, starting from 32 random bits.
pub fn draw(replica: ReplicaId, fresh: u32, used: impl Fn(Origin) -> bool) -> Origin {
    (0..=u32::MAX)
        .map(|step| Origin {
            replica,
            epoch: Epoch(fresh.wrapping_add(step)),
        })
        .find(|&origin| !used(origin))
        .expect("a replica has not used all 2^32 epochs")
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
    fn an_epoch_is_continued_only_if_database_and_file_agree() {
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
    fn without_proof_of_continuity_a_new_epoch_is_drawn() {
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
