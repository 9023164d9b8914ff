//! Which connections a port holds: how many, how many of one address, and which one gives way.
//!
//! Pure. A connection either serves a request (a stream is one) or waits for one. At a bound the
//! longest waiting connection gives way to a new one, those that never made a request first, so
//! that silent sockets keep nobody out. Where every connection serves, the new one is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// The bounds of one port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Most connections at once.
    pub connections: usize,
    /// Most connections of one address at once.
    pub per_address: usize,
    /// How long a new connection may take until its first request.
    pub first_request: Duration,
    /// How long a connection may be idle between two requests.
    pub idle: Duration,
}

/// Identifies a connection of this port.
pub(super) type Id = u64;

/// What becomes of a new connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<S> {
    /// It is admitted.
    Admitted(Id),
    /// It is admitted once this waiting connection is closed.
    Replaces(Id, S),
    /// All connections of the port serve requests.
    Full,
    /// All connections of this address serve requests.
    AddressFull,
}

/// Those that never made a request first, then by the time since when they wait.
type Rank = (bool, Instant, Id);

/// The connections of one port; `S` is how one is told to close.
#[derive(Debug)]
pub(super) struct Admission<S> {
    bounds: Bounds,
    start: Instant,
    next: Id,
    connections: BTreeMap<Id, Connection<S>>,
    waiting: BTreeSet<Rank>,
    addresses: BTreeMap<IpAddr, Address>,
}

#[derive(Debug)]
struct Connection<S> {
    address: Option<IpAddr>,
    /// Its rank while it waits; neither serving nor closing connections have one.
    waits: Option<Rank>,
    is_closing: bool,
    signal: S,
}

#[derive(Debug, Default)]
struct Address {
    connections: usize,
    waiting: BTreeSet<Rank>,
}

impl<S: Clone> Admission<S> {
    /// `now` and every later time come from one clock.
    pub(super) fn new(bounds: Bounds, now: Instant) -> Self {
        Self {
            bounds,
            start: now,
            next: 0,
            connections: BTreeMap::new(),
            waiting: BTreeSet::new(),
            addresses: BTreeMap::new(),
        }
    }

    /// Decides on a new connection; `address` is absent where its number is not bounded.
    pub(super) fn enter(&mut self, address: Option<IpAddr>, now: Instant, signal: S) -> Verdict<S> {
        let of_address = address.and_then(|address| self.addresses.get(&address));
        let address_is_full =
            of_address.is_some_and(|of| of.connections >= self.bounds.per_address);
        let gives_way = if address_is_full {
            match of_address.and_then(|of| of.waiting.first()) {
                Some(&rank) => Some(rank),
                None => return Verdict::AddressFull,
            }
        } else if self.connections.len() >= self.bounds.connections {
            match self.waiting.first() {
                Some(&rank) => Some(rank),
                None => return Verdict::Full,
            }
        } else {
            None
        };
        let evicted = gives_way.map(|(_, _, id)| self.close(id));
        let id = self.next;
        self.next += 1;
        let connection = Connection {
            address,
            waits: None,
            is_closing: false,
            signal,
        };
        self.connections.insert(id, connection);
        if let Some(address) = address {
            self.addresses.entry(address).or_default().connections += 1;
        }
        self.wait(id, false, now);
        match evicted {
            Some(signal) => Verdict::Replaces(id, signal),
            None => Verdict::Admitted(id),
        }
    }

    /// A request began. False where the connection is already asked to close.
    pub(super) fn serve(&mut self, id: Id) -> bool {
        self.stop_waiting(id);
        let connection = self.connections.get(&id);
        connection.is_some_and(|connection| !connection.is_closing)
    }

    /// A request ended.
    pub(super) fn served(&mut self, id: Id, now: Instant) {
        self.wait(id, true, now);
    }

    /// A connection is closed.
    pub(super) fn leave(&mut self, id: Id) {
        self.stop_waiting(id);
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        if let Some(address) = connection.address
            && let Some(of) = self.addresses.get_mut(&address)
        {
            of.connections -= 1;
            if of.connections == 0 {
                self.addresses.remove(&address);
            }
        }
    }

    /// Returns the connections that have waited too long; each is returned once.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<S> {
        let mut expired = Vec::new();
        for (has_served, limit) in [(false, self.bounds.first_request), (true, self.bounds.idle)] {
            let ranks = self.waiting.range((has_served, self.start, 0)..);
            let due: Vec<Id> = ranks
                .take_while(|rank| rank.0 == has_served)
                .take_while(|rank| now.saturating_duration_since(rank.1) >= limit)
                .map(|rank| rank.2)
                .collect();
            expired.extend(due.into_iter().map(|id| self.close(id)));
        }
        expired
    }

    fn close(&mut self, id: Id) -> S {
        self.stop_waiting(id);
        let connection = self.connections.get_mut(&id).expect("it waits");
        connection.is_closing = true;
        connection.signal.clone()
    }

    fn wait(&mut self, id: Id, has_served: bool, now: Instant) {
        let rank = (has_served, now, id);
        let Some(connection) = self.connections.get_mut(&id).filter(|it| !it.is_closing) else {
            return;
        };
        connection.waits = Some(rank);
        self.waiting.insert(rank);
        let address = connection.address;
        if let Some(of) = address.and_then(|address| self.addresses.get_mut(&address)) {
            of.waiting.insert(rank);
        }
    }

    fn stop_waiting(&mut self, id: Id) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let Some(rank) = connection.waits.take() else {
            return;
        };
        self.waiting.remove(&rank);
        let address = connection.address;
        if let Some(of) = address.and_then(|address| self.addresses.get_mut(&address)) {
            of.waiting.remove(&rank);
        }
    }
}

/// Returns what counts as one address: an IPv4 address, or a subscriber's network of IPv6 (/64).
/// `None` for this machine, where programs for tests and proxies hold any number of connections.
pub(super) fn counted(address: IpAddr) -> Option<IpAddr> {
    let address = address.to_canonical();
    if address.is_loopback() {
        return None;
    }
    Some(match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(whole) => Ipv6Addr::from_bits(whole.to_bits() >> 64 << 64).into(),
    })
}

#[cfg(test)]
mod tests;
