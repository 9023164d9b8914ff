//! Whether a call is new, so that a captured one is worth nothing.
//!
//! A call belongs to a *session* of the process that it calls: that process's random instance, and
//! a time on its own clock. No two clocks are compared. A caller that knows no valid session is
//! refused with one and calls again; every answer offers the newest, so this happens once per
//! process. Within a session the numbers of a caller's calls are remembered in a sliding window, as
//! in RFC 6479, because calls arrive out of order.
//!
//! A captured call therefore fails at every other replica and after a restart (the instance), after
//! a minute (the time), and until then (the window).

use std::collections::BTreeMap;

use causeway_domain::ids::ReplicaId;
use causeway_domain::mutant;

use crate::auth::{Head, Process, Session};
use crate::instance::Instance;

/// How long calls in a session are accepted.
const LIFETIME_MS: u64 = 60_000;
/// How much newer a session is that replaces one which still holds.
const RENEWAL_MS: u64 = 20_000;
/// Most windows kept of one peer. A process that calls opens three a minute.
const MOST_WINDOWS: usize = 16;
/// How far a call may lag behind the newest of its caller.
const WINDOW: u64 = 1_024;
const WORD: u64 = u64::BITS as u64;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is new.
    Fresh,
    /// It was made before, or lags so far behind that nobody knows.
    Repeated,
    /// It names no session that holds here: its caller is to repeat it in the offered one.
    UnknownSession,
    /// No peer has its caller's number, so nothing is remembered of it.
    Stranger,
}

/// Judges the calls that come in.
#[derive(Debug)]
pub struct Incoming {
    own: Process,
    peers: BTreeMap<ReplicaId, Windows>,
}

#[derive(Debug, Default)]
struct Windows {
    open: BTreeMap<(u64, Instance), Window>,
    /// Sessions opened up to here have lost their windows.
    closed_ms: Option<u64>,
}

/// Which of the newest calls have come.
#[derive(Debug)]
struct Window {
    newest: u64,
    seen: [u64; (WINDOW / WORD) as usize],
}

impl Incoming {
    /// Accepts the calls of these peers.
    pub fn new(own: Process, peers: &[ReplicaId]) -> Self {
        let unheard = |&peer| (peer, Windows::default());
        Self {
            own,
            peers: peers.iter().map(unheard).collect(),
        }
    }

    /// The session that an answer offers.
    pub fn offer(&self, now_ms: u64) -> Session {
        Session {
            process: self.own,
            opened_ms: now_ms,
        }
    }

    /// Judges a call whose signature was found right, and remembers it.
    pub fn judge(&mut self, now_ms: u64, head: &Head) -> Verdict {
        let is_valid = |session: &Session| {
            let age_ms = now_ms.checked_sub(session.opened_ms);
            session.process == self.own && age_ms.is_some_and(|age_ms| age_ms <= LIFETIME_MS)
        };
        let Some(session) = head.session.filter(is_valid) else {
            return Verdict::UnknownSession;
        };
        match self.peers.get_mut(&head.from.replica) {
            Some(windows) => windows.judge(now_ms, session.opened_ms, head),
            None => Verdict::Stranger,
        }
    }
}

impl Windows {
    fn judge(&mut self, now_ms: u64, opened_ms: u64, head: &Head) -> Verdict {
        mutant!(RepeatedIsRefused => Verdict::Fresh);
        let oldest_ms = now_ms.saturating_sub(LIFETIME_MS);
        self.open
            .retain(|&(opened_ms, _), _| opened_ms >= oldest_ms);
        let key = (opened_ms, head.from.instance);
        if !self.open.contains_key(&key) {
            if !self.is_closed(opened_ms) {
                self.make_room();
            }
            if self.is_closed(opened_ms) {
                return Verdict::UnknownSession;
            }
        }
        let window = self.open.entry(key).or_insert_with(Window::empty);
        if window.accept(head.count) {
            Verdict::Fresh
        } else {
            Verdict::Repeated
        }
    }

    fn is_closed(&self, opened_ms: u64) -> bool {
        self.closed_ms
            .is_some_and(|closed_ms| opened_ms <= closed_ms)
    }

    /// Closes the oldest session rather than forgetting which of its calls have come.
    fn make_room(&mut self) {
        while self.open.len() >= MOST_WINDOWS
            && let Some(&(oldest_ms, _)) = self.open.keys().next()
        {
            self.closed_ms = self.closed_ms.max(Some(oldest_ms));
            self.open.retain(|&(opened_ms, _), _| opened_ms > oldest_ms);
        }
    }
}

impl Window {
    fn empty() -> Self {
        Self {
            newest: 0,
            seen: [0; (WINDOW / WORD) as usize],
        }
    }

    /// Takes in a number; tells whether it is new.
    fn accept(&mut self, count: u64) -> bool {
        if count > self.newest {
            // The numbers that are skipped have not come; their places held older ones.
            let skipped = (count - self.newest).min(WINDOW);
            for next in (0..skipped).map(|back| count - back) {
                self.set(next, false);
            }
            self.newest = count;
        } else if self.newest - count >= WINDOW || self.has(count) {
            return false;
        }
        self.set(count, true);
        true
    }

    fn has(&self, count: u64) -> bool {
        let (word, bit) = place(count);
        self.seen[word] & bit != 0
    }

    fn set(&mut self, count: u64, is_seen: bool) {
        let (word, bit) = place(count);
        if is_seen {
            self.seen[word] |= bit;
        } else {
            self.seen[word] &= !bit;
        }
    }
}

fn place(count: u64) -> (usize, u64) {
    let place = count % WINDOW;
    let word = usize::try_from(place / WORD).expect("a window has few words");
    (word, 1 << (place % WORD))
}

/// Numbers the calls of one process to one replica, and keeps the session they belong to.
#[derive(Debug)]
pub struct Outgoing {
    from: Process,
    to: ReplicaId,
    session: Option<Session>,
    count: u64,
}

impl Outgoing {
    /// Starts without a session.
    pub fn new(from: Process, to: ReplicaId) -> Self {
        Self {
            from,
            to,
            session: None,
            count: 0,
        }
    }

    /// The head of the next call.
    pub fn next(&mut self, body_hash: [u8; 32]) -> Head {
        self.count += 1;
        Head {
            from: self.from,
            to: self.to,
            session: self.session,
            count: self.count,
            body_hash,
        }
    }

    /// Takes in what the answer to a call offers. `is_refused`: the session of the call does not
    /// hold there.
    pub fn learn(&mut self, call: &Head, is_refused: bool, offer: Session) {
        let is_newer = |current: Session| {
            current.process == offer.process && offer.opened_ms >= current.opened_ms + RENEWAL_MS
        };
        if self.session.is_none_or(is_newer) || (is_refused && self.session == call.session) {
            self.session = Some(offer);
        }
    }
}

#[cfg(test)]
mod tests;
