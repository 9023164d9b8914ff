//! What the writer promises beyond its rows: the floor and the reservation behind it, the file
//! beside the database, the epoch.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::hlc::{Clock, Hlc};
use crate::ids::Origin;
use crate::log::connection::RESERVATION_MS;
use crate::log::sidecar::Record;
use crate::log::{SubmitError, Work, identity, rows};

use super::{RECORD_EVERY, STATEMENT, Writer, failed};

impl Writer {
    /// Draws a new epoch and makes it durable, in the database and beside it.
    pub(super) async fn renew(&mut self, renewal: Work) {
        let Work::Renew {
            former,
            fresh_epoch,
            answer,
        } = renewal
        else {
            return;
        };
        let outcome = self.try_renew(former, fresh_epoch).await;
        // Whoever stopped waiting does not stop the renewal.
        let _ = answer.send(outcome);
    }

    async fn try_renew(&mut self, former: Origin, fresh_epoch: u32) -> Result<Origin, SubmitError> {
        if former != self.origin {
            return Ok(self.origin);
        }
        self.connect()
            .await
            .map_err(|()| SubmitError::Unavailable)?;
        let connection = self.connection.as_mut().ok_or(SubmitError::Unavailable)?;
        let origin = identity::draw(self.options.replica, fresh_epoch, |origin| {
            origin == former || self.head.vector.get(origin) > 0
        });
        let (cluster, server) = (&self.options.cluster, &self.server);
        let stored = rows::store_identity(connection, cluster, origin, self.reserved, server);
        if let Some(failure) = failed(timeout(STATEMENT, stored).await) {
            self.forget(&failure);
            return Err(SubmitError::Unavailable);
        }
        self.origin = origin;
        self.head.origin = origin;
        self.record().await;
        self.publish();
        Ok(origin)
    }

    /// Tells everybody what is held now, with a fresh floor: taken together, between two batches,
    /// so nothing at or below it is under way.
    pub(super) fn publish(&mut self) {
        let wall_ms = (self.options.wall)();
        self.head.floor = self
            .head
            .floor
            .max(floor(&mut self.clock, wall_ms, self.reserved));
        self.publish.send_replace(Arc::new(self.head.clone()));
    }

    /// Keeps the floor rising while nothing is written, and its reservation ahead of it.
    pub(super) async fn tick(&mut self) {
        if self.connection.is_none() && self.reconnect(Duration::from_millis(100)).await.is_err() {
            return;
        }
        // A clock ahead of the wall (a peer's was) must be reserved as well, or nothing settles.
        let now_ms = (self.options.wall)().max(self.clock.last().ms());
        let is_short = self.reserved <= Hlc::at_ms(now_ms + RESERVATION_MS / 2);
        if is_short {
            self.reserve(Hlc::at_ms(now_ms + RESERVATION_MS)).await;
        } else if !self.is_recorded() {
            self.record().await;
        }
        self.publish();
    }

    fn is_recorded(&self) -> bool {
        let recorded = self.recorded.as_ref().map(|record| record.seq_seen);
        recorded == Some(self.head.vector.get(self.origin))
    }

    /// Brings the file up to date before a write is answered, unless that was done just now: a
    /// database that comes back without what was answered must be seen to lack it (F1).
    pub(super) async fn record_in_time(&mut self) {
        let is_due = self
            .recorded_at
            .is_none_or(|at| at.elapsed() >= RECORD_EVERY);
        if is_due && !self.is_recorded() {
            self.record().await;
        }
    }

    /// Stores a new reservation, in the file and in the database, before it counts.
    async fn reserve(&mut self, reserved: Hlc) {
        let Some(connection) = self.connection.as_mut() else {
            return;
        };
        let stored = timeout(STATEMENT, rows::reserve(connection, reserved)).await;
        if let Some(failure) = failed(stored) {
            self.forget(&failure);
            return;
        }
        let former = std::mem::replace(&mut self.reserved, reserved);
        if !self.record().await {
            self.reserved = former;
        }
    }

    /// Brings the file beside the database up to date; tells whether that went well.
    async fn record(&mut self) -> bool {
        let record = Record {
            origin: self.origin,
            seq_seen: self.head.vector.get(self.origin),
            hlc: self.reserved,
            system_identifier: self.server.system_identifier.clone(),
            timeline: self.server.timeline.clone(),
        };
        let (sidecar, written) = (self.sidecar.clone(), record.clone());
        // Waiting for the disk must not hold up the other tasks of this thread.
        let outcome = tokio::task::spawn_blocking(move || sidecar.write(&written)).await;
        self.recorded_at = Some(Instant::now());
        match outcome {
            Ok(Ok(())) => {
                self.recorded = Some(record);
                true
            }
            Ok(Err(failure)) => {
                tracing::error!(%failure, path = %self.sidecar.path().display(),
                    "cannot write the file beside the database");
                false
            }
            Err(_) => false,
        }
    }

    /// Ends in order: what was reserved and not promised is given back, so that the next start
    /// need not begin ahead of the clock.
    pub(super) async fn finish(&mut self) {
        let promised = self.head.floor.max(self.clock.last());
        if self.connect().await.is_ok() {
            self.reserve(promised).await;
        }
    }
}

/// The reading below which nothing will be written any more: the clock, within what is reserved.
fn floor(clock: &mut Clock, wall_ms: u64, reserved: Hlc) -> Hlc {
    let floor = clock.last().max(Hlc::at_ms(wall_ms)).min(reserved);
    clock.merge(floor);
    floor
}
