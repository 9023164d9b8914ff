//! Keeps what the writer promises beyond its rows: stores reservations, the file beside the
//! database, a new epoch.

use std::sync::Arc;
use std::time::Duration;

use causeway_domain::hlc::Hlc;
use causeway_domain::ids::Origin;
use causeway_domain::writing::Record;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::log::connection::store_identity;
use crate::log::{SubmitError, durability, rows};

use super::session::failed;
use super::{RECORD_EVERY, STATEMENT, Writer};

/// How long an idle writer looks whether the database is back: writes wait meanwhile.
const GLANCE: Duration = Duration::from_secs(1);
/// How often the database is asked anyhow whether it takes a reservation: where the clock is ahead of
/// the wall none is due for long.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long the file may take to be written before it counts as one that cannot be: a disk that is
/// reached through a network may never answer.
const FILE: Duration = Duration::from_secs(5);
/// How long it is waited for once it counts as such.
const FILE_GLANCE: Duration = Duration::from_millis(10);

/// The file beside the database being written.
pub(super) struct Recording {
    record: Record,
    written: JoinHandle<std::io::Result<()>>,
}

impl Writer {
    /// Draws a new epoch and makes it durable, in the database and beside it.
    pub(super) async fn renew(
        &mut self,
        former: Origin,
        fresh_epoch: u32,
    ) -> Result<Origin, SubmitError> {
        let Some(origin) = self.writing.renew(former, fresh_epoch) else {
            return Ok(self.writing.origin());
        };
        self.connect()
            .await
            .map_err(|()| SubmitError::Unavailable)?;
        let connection = self.connection.as_mut().ok_or(SubmitError::Unavailable)?;
        let stored = store_identity(connection, &self.options, &self.writing, origin);
        if let Some(failure) = failed(timeout(STATEMENT, stored).await) {
            self.forget(&failure);
            return Err(SubmitError::Unavailable);
        }
        self.writing.renewed(origin);
        self.record(self.writing.reserved()).await;
        self.publish();
        Ok(origin)
    }

    /// Tells everybody what is held now, with a fresh floor.
    pub(super) fn publish(&mut self) {
        let head = self.writing.publish((self.options.order)());
        self.publish.send_replace(Arc::new(head));
    }

    /// Keeps the floor rising while nothing is written, and its reservation ahead of it.
    pub(super) async fn tick(&mut self) {
        if self.connection.is_none() && !self.reaches(GLANCE, Duration::from_millis(100)).await {
            return;
        }
        let due = self.writing.due_reservation((self.options.order)());
        let is_to_look = self.looked_at.is_none_or(|at| at.elapsed() >= LOOK_AGAIN);
        if due.is_some() || is_to_look {
            self.reserve(due.unwrap_or(self.writing.reserved())).await;
        } else if !self.writing.is_recorded() {
            self.record(self.writing.reserved()).await;
        }
        self.publish();
    }

    /// Brings the file up to date before a write is answered, unless that was done just now: a
    /// database that comes back without what was answered must be seen to lack it (F1). Tells whether it
    /// could be.
    pub(super) async fn record_in_time(&mut self) -> bool {
        let is_due = self
            .recorded_at
            .is_none_or(|at| at.elapsed() >= RECORD_EVERY);
        if is_due && !self.writing.is_recorded() {
            self.record(self.writing.reserved()).await;
        }
        self.writing.may_give_numbers()
    }

    /// Tells whether own events may be written. Where they may not, the file is tried again.
    pub(super) async fn may_give_numbers(&mut self) -> bool {
        if !self.writing.may_give_numbers() {
            self.record(self.writing.reserved()).await;
        }
        self.writing.may_give_numbers()
    }

    /// Stores a new reservation, in the database and then in the file. What Postgres may lose is looked
    /// at again with it: a setting can be changed under an open session.
    async fn reserve(&mut self, reserved: Hlc) {
        let Some(connection) = self.connection.as_mut() else {
            return;
        };
        let allow_unsafe = self.options.allow_unsafe_postgres;
        let (origin, arrival) = (self.writing.origin(), self.writing.head().arrival);
        let stored = timeout(STATEMENT, async {
            if let Err(refused) = durability::demand(connection, allow_unsafe).await {
                return Err(sqlx::Error::Configuration(refused.into()));
            }
            rows::reserve(connection, reserved, origin, arrival).await
        });
        if let Some(failure) = failed(stored.await) {
            self.forget(&failure);
            return;
        }
        self.looked_at = Some(Instant::now());
        self.trouble.session(None);
        self.record(reserved).await;
    }

    /// Brings the file beside the database up to date.
    async fn record(&mut self, reserved: Hlc) {
        // One after the other: a former one that hangs could otherwise come last.
        if let Some(former) = self.recording.take()
            && !self.ends(former).await
        {
            return;
        }
        let record = self.writing.record(reserved);
        let (sidecar, written) = (self.sidecar.clone(), record.clone());
        // Waiting for the disk must not hold up the other tasks of this thread.
        let written = tokio::task::spawn_blocking(move || sidecar.write(&written));
        self.ends(Recording { record, written }).await;
    }

    /// Waits for the file to be written, within bounds; tells whether that has ended, well or not.
    async fn ends(&mut self, mut recording: Recording) -> bool {
        let patience = if self.trouble.is_file_stuck() {
            FILE_GLANCE
        } else {
            FILE
        };
        let outcome = timeout(patience, &mut recording.written).await;
        self.recorded_at = Some(Instant::now());
        let path = self.sidecar.path().display();
        let failure = match outcome {
            Ok(Ok(Ok(()))) => {
                if self.trouble.file_is_stuck(false) {
                    tracing::info!(%path, "the file beside the database can be written again");
                }
                self.writing.recorded(recording.record);
                return true;
            }
            Ok(Ok(Err(failure))) => failure,
            Ok(Err(_)) => std::io::Error::other("writing it failed"),
            Err(_) => {
                self.recording = Some(recording);
                std::io::ErrorKind::TimedOut.into()
            }
        };
        self.writing.not_recorded();
        // Once: it is tried all the time, and the log may lie on the disk that is full.
        if !self.trouble.file_is_stuck(true) {
            tracing::error!(%failure, %path, "cannot write the file beside the database");
        }
        self.recording.is_none()
    }

    /// Ends in order. The file says what was told last, also where the database lacks it now.
    pub(super) async fn finish(&mut self) {
        if self.trouble.is_not_ours() {
            self.record(self.writing.reserved()).await;
        } else if self.connect().await.is_ok() {
            self.reserve(self.writing.last_reservation()).await;
        }
    }
}
