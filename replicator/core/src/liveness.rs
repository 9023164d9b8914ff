//! Whether a peer is there, by what was last heard of it in either direction. Advisory: it gates
//! neither a write, nor an answer, nor what a peer may pull.

use serde::{Deserialize, Serialize};

use crate::now::Now;

/// Silence that counts as one miss: a period with its jitter, and time to answer.
pub(crate) const SUSPECT_AFTER_MS: u64 = 1_600;
/// Silence that counts as three.
pub(crate) const DOWN_AFTER_MS: u64 = 3_200;

/// What the view shows of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Heard of lately.
    Up,
    /// Missed once.
    Suspect,
    /// Missed thrice, or never heard of.
    Down,
}

/// Whether calling a peer works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outward {
    /// The last call was answered.
    Ok,
    /// The last call failed, or none was answered yet.
    Failing,
}

/// The liveness of one peer.
#[derive(Clone, Copy, Debug)]
pub struct Liveness {
    /// Up, suspect or down.
    pub status: Status,
    /// Wall time of the last change of `status`, milliseconds since 1970.
    pub since_wall_ms: i64,
    /// When it was last heard of, on the core's own clock.
    pub last_heard_ms: Option<u64>,
    /// Whether calling it works.
    pub out: Outward,
    /// How long the last digest took to be answered.
    pub rtt_ms: Option<u64>,
}

impl Liveness {
    /// Starts down: nothing has been heard yet.
    pub(crate) fn unheard(now: Now) -> Self {
        Self {
            status: Status::Down,
            since_wall_ms: now.wall_ms,
            last_heard_ms: None,
            out: Outward::Failing,
            rtt_ms: None,
        }
    }

    /// Takes in that something was heard; tells whether the peer was down before.
    pub(crate) fn hear(&mut self, now: Now) -> bool {
        let was_down = self.status == Status::Down;
        self.last_heard_ms = Some(now.ms);
        self.become_status(now, Status::Up);
        was_down
    }

    /// Takes in how late it is.
    pub(crate) fn age(&mut self, now: Now) {
        let silence = self.last_heard_ms.map(|at| now.ms.saturating_sub(at));
        let status = match silence {
            Some(ms) if ms < SUSPECT_AFTER_MS => Status::Up,
            Some(ms) if ms < DOWN_AFTER_MS => Status::Suspect,
            _ => Status::Down,
        };
        self.become_status(now, status);
    }

    /// When `age` will see a change if nothing is heard until then.
    pub(crate) fn next_change_ms(&self) -> Option<u64> {
        let after = match self.status {
            Status::Up => SUSPECT_AFTER_MS,
            Status::Suspect => DOWN_AFTER_MS,
            Status::Down => return None,
        };
        self.last_heard_ms.map(|at| at + after)
    }

    fn become_status(&mut self, now: Now, status: Status) {
        if self.status != status {
            self.status = status;
            self.since_wall_ms = now.wall_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_becomes_suspect_and_then_down_and_comes_back_when_heard() {
        let mut liveness = Liveness::unheard(at(0));
        assert!(liveness.hear(at(10)));

        liveness.age(at(10 + SUSPECT_AFTER_MS));
        assert_eq!(liveness.status, Status::Suspect);
        liveness.age(at(10 + DOWN_AFTER_MS));
        assert_eq!(liveness.status, Status::Down);
        assert_eq!(liveness.since_wall_ms, at(10 + DOWN_AFTER_MS).wall_ms);

        assert!(liveness.hear(at(9_000)), "it was down");
        assert!(!liveness.hear(at(9_001)), "it was up");
        assert_eq!(liveness.status, Status::Up);
        assert_eq!(liveness.since_wall_ms, at(9_000).wall_ms);
    }

    #[test]
    fn a_peer_never_heard_of_is_down() {
        let mut liveness = Liveness::unheard(at(0));

        liveness.age(at(1));

        assert_eq!(liveness.status, Status::Down);
        assert_eq!(liveness.next_change_ms(), None);
    }

    fn at(ms: u64) -> Now {
        Now {
            ms,
            wall_ms: 1_700_000_000_000 + i64::try_from(ms).unwrap(),
        }
    }
}
