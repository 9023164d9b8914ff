//! The places of a port, shared by its connections: [`Admission`] behind a lock.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::admission::{Admission, Bounds, Id, Verdict};

/// The places of one port.
pub(super) struct Seats(Mutex<Admission<Arc<Signal>>>);

/// How a connection is asked to close, and says that it has.
#[derive(Debug, Default)]
pub(super) struct Signal {
    close: Notify,
    closed: Notify,
    took_too_long: AtomicBool,
}

impl Signal {
    pub(super) fn ask_to_close(&self, took_too_long: bool) {
        self.took_too_long.store(took_too_long, Ordering::Relaxed);
        self.close.notify_one();
    }

    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }
}

impl Seats {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self(Mutex::new(Admission::new(bounds, Instant::now())))
    }

    /// Returns the place of a new connection, and the connection that has to close for it.
    pub(super) fn enter(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        is_refused: bool,
    ) -> Result<(Seat, Option<Arc<Signal>>), Verdict<()>> {
        let signal = Arc::new(Signal::default());
        let verdict = self.lock().enter(address, Instant::now(), signal.clone());
        let (id, gives_way) = match verdict {
            Verdict::Admitted(id) => (id, None),
            Verdict::Replaces(id, gives_way) => (id, Some(gives_way)),
            Verdict::Full => return Err(Verdict::Full),
            Verdict::AddressFull => return Err(Verdict::AddressFull),
        };
        let place = Place {
            seats: self.clone(),
            id,
        };
        let seat = Seat {
            place,
            signal,
            is_refused,
        };
        Ok((seat, gives_way))
    }

    pub(super) fn close_expired(&self, now: Instant) {
        let expired = self.lock().expired(now);
        for signal in expired {
            signal.ask_to_close(true);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Admission<Arc<Signal>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection, free again when this is dropped.
pub struct Seat {
    place: Place,
    signal: Arc<Signal>,
    is_refused: bool,
}

#[derive(Clone)]
struct Place {
    seats: Arc<Seats>,
    id: Id,
}

impl Seat {
    /// Whether this connection is answered with a refusal only.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Waits until the connection has to close. Returns whether its client took too long; if not, its
    /// place is needed.
    pub(super) async fn has_to_close(&self) -> bool {
        self.signal.close.notified().await;
        self.signal.took_too_long.load(Ordering::Relaxed)
    }

    /// Returns the turns of this connection's requests.
    pub(super) fn turns(&self) -> Arc<Turns> {
        Arc::new(Turns {
            place: self.place.clone(),
            has_ended: AtomicBool::new(false),
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.place.seats.lock().leave(self.place.id);
        self.signal.closed.notify_one();
    }
}

/// Tells when a connection serves a request: from its head until its answer has been sent.
pub(super) struct Turns {
    place: Place,
    has_ended: AtomicBool,
}

impl Turns {
    /// A request begins; nothing where the connection has to close.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Turn> {
        self.has_ended.store(false, Ordering::Relaxed);
        let admitted = self.place.seats.lock().serve(self.place.id);
        admitted.then(|| Turn(self.clone()))
    }

    /// Everything written so far has been sent.
    pub(super) fn flushed(&self) {
        if self.has_ended.swap(false, Ordering::Relaxed) {
            let mut seats = self.place.seats.lock();
            seats.served(self.place.id, Instant::now());
        }
    }
}

/// A request being served. Its end counts once the answer has been sent.
pub(super) struct Turn(Arc<Turns>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Ordering::Relaxed);
    }
}
