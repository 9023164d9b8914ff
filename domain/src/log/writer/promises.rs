//! Keeps what the writer promises beyond its rows: stores reservations, the file beside the
//! database, a new epoch.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::hlc::Hlc;
use crate::ids::Origin;
use crate::log::connection::store_identity;
use crate::log::{SubmitError, rows};

use super::session::failed;
use super::{RECORD_EVERY, STATEMENT, Writer};

/// How long an idle writer looks whether the database is back: writes wait meanwhile.
const GLANCE: Duration = Duration::from_secs(1);

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
        if self.connection.is_none() {
            let reached = timeout(GLANCE, self.reconnect(Duration::from_millis(100))).await;
            if !matches!(reached, Ok(Ok(()))) {
                return;
            }
        }
        if let Some(reserved) = self.writing.due_reservation((self.options.order)()) {
            self.reserve(reserved).await;
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

    /// Stores a new reservation, in the database and then in the file.
    async fn reserve(&mut self, reserved: Hlc) {
        let Some(connection) = self.connection.as_mut() else {
            return;
        };
        let stored = timeout(STATEMENT, rows::reserve(connection, reserved)).await;
        if let Some(failure) = failed(stored) {
            self.forget(&failure);
            return;
        }
        self.record(reserved).await;
    }

    /// Brings the file beside the database up to date.
    async fn record(&mut self, reserved: Hlc) {
        let record = self.writing.record(reserved);
        let (sidecar, written) = (self.sidecar.clone(), record.clone());
        // Waiting for the disk must not hold up the other tasks of this thread.
        let outcome = tokio::task::spawn_blocking(move || sidecar.write(&written)).await;
        self.recorded_at = Some(Instant::now());
        let path = self.sidecar.path().display();
        match outcome {
            Ok(Ok(())) => {
                if self.is_file_stuck.swap(false, Ordering::Relaxed) {
                    tracing::info!(%path, "the file beside the database can be written again");
                }
                self.writing.recorded(record);
            }
            Ok(Err(failure)) => {
                self.writing.not_recorded();
                // Once: it is tried all the time, and the log may lie on the disk that is full.
                if !self.is_file_stuck.swap(true, Ordering::Relaxed) {
                    tracing::error!(%failure, %path, "cannot write the file beside the database");
                }
            }
            Err(_) => {}
        }
    }

    /// Ends in order.
    pub(super) async fn finish(&mut self) {
        if self.connect().await.is_ok() {
            self.reserve(self.writing.last_reservation()).await;
        }
    }
}
