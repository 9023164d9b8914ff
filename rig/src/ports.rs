//! Ports for replicas that have to find their own again when they are started later.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that systems give to outgoing connections.
const RANGE: Range<u16> = 16_000..30_000;

/// Whether nobody listens on a port of this machine.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Chooses ports that nobody has; none when there are not so many. No port is chosen twice.
pub fn choose(count: usize) -> Option<Vec<u16>> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let size = RANGE.end - RANGE.start;
    let first = u16::try_from(std::process::id() % u32::from(size)).unwrap_or(0);
    let ports: Vec<u16> = RANGE
        .map(|_| first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)))
        .map(|number| RANGE.start + number % size)
        .filter(|port| is_free(*port))
        .take(count)
        .collect();
    (ports.len() == count).then_some(ports)
}
