//! What a call says of itself, in the one line that is signed.

use std::fmt;
use std::str::FromStr;

use causeway_domain::ids::ReplicaId;

use crate::instance::Instance;

/// One process of one replica. Text form: `<number>.<instance>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// The replica's number.
    pub replica: ReplicaId,
    /// Which of its processes.
    pub instance: Instance,
}

/// What a process accepts calls in for a while. Text form: `<number>.<instance>.<milliseconds>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// The process that accepts the calls.
    pub process: Process,
    /// When it was opened, on that process's own clock, which never goes back.
    pub opened_ms: u64,
}

/// What is signed of a call beside its method, path and query. Text form:
/// `<caller> <callee> <count> <hash of the body>`, where the callee is a [`Session`], or a mere
/// number while none is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Who calls.
    pub from: Process,
    /// The replica that is configured at the called address.
    pub to: ReplicaId,
    /// The session the call belongs to; none asks for one.
    pub session: Option<Session>,
    /// Counts up with the calls of one process to one replica, across its sessions.
    pub count: u64,
    /// SHA-256 of the body.
    pub body_hash: [u8; 32],
}

/// Not of that form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAHead;

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.replica, self.instance)
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.process, self.opened_ms)
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.from)?;
        match self.session {
            Some(session) => write!(f, "{session}")?,
            None => write!(f, "{}", self.to)?,
        }
        write!(f, " {} {}", self.count, hex::encode(self.body_hash))
    }
}

impl FromStr for Process {
    type Err = NotAHead;

    fn from_str(text: &str) -> Result<Self, NotAHead> {
        let (replica, instance) = text.split_once('.').ok_or(NotAHead)?;
        Ok(Self {
            replica: number(replica)?,
            instance: instance.parse().map_err(|_| NotAHead)?,
        })
    }
}

impl FromStr for Session {
    type Err = NotAHead;

    fn from_str(text: &str) -> Result<Self, NotAHead> {
        let (process, opened_ms) = text.rsplit_once('.').ok_or(NotAHead)?;
        Ok(Self {
            process: process.parse()?,
            opened_ms: opened_ms.parse().map_err(|_| NotAHead)?,
        })
    }
}

impl FromStr for Head {
    type Err = NotAHead;

    fn from_str(text: &str) -> Result<Self, NotAHead> {
        let mut parts = text.split(' ');
        let mut next = || parts.next().ok_or(NotAHead);
        let (from, callee) = (next()?.parse()?, next()?);
        let session = callee.contains('.').then(|| callee.parse()).transpose()?;
        let to = match session {
            Some(Session { process, .. }) => process.replica,
            None => number(callee)?,
        };
        let count = next()?.parse().map_err(|_| NotAHead)?;
        let mut body_hash = [0; 32];
        hex::decode_to_slice(next()?, &mut body_hash).map_err(|_| NotAHead)?;
        let head = Self {
            from,
            to,
            session,
            count,
            body_hash,
        };
        parts.next().is_none().then_some(head).ok_or(NotAHead)
    }
}

fn number(text: &str) -> Result<ReplicaId, NotAHead> {
    let number = text.parse().ok().and_then(ReplicaId::new);
    number.ok_or(NotAHead)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_head_is_read_as_it_was_written(
            from in process(), to in process(), opened_ms: Option<u64>, count: u64,
            body_hash: [u8; 32],
        ) {
            let session = opened_ms.map(|opened_ms| Session { process: to, opened_ms });
            let head = Head { from, to: to.replica, session, count, body_hash };

            prop_assert_eq!(head.to_string().parse(), Ok(head));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            prop_assert!(text.parse::<Head>().is_err());
        }
    }

    fn process() -> impl Strategy<Value = Process> {
        let process = |(number, instance)| Process {
            replica: ReplicaId::new(number).unwrap(),
            instance: Instance(instance),
        };
        (1..u16::MAX, any::<u64>()).prop_map(process)
    }
}
