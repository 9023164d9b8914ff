//! Why a call to a peer came to nothing.

use crate::wire::Refusal;

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// No connection, or no answer in time.
    #[error("no answer")]
    Unreachable,
    /// The peer serves, but not now: it is starting, or its log is not available.
    #[error("the peer is busy")]
    Busy,
    /// The peer says why not.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// One of the two does not accept the other's certificate.
    #[error("no secure connection: {0}")]
    Insecure(String),
    /// The answer is not of the protocol, or not signed with a key of ours.
    #[error("the answer is malformed: {0}")]
    Malformed(String),
}

/// Why a push or a pull came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// The peer, or the way to it.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Our own log could not read or write.
    #[error("the own log is not available")]
    Log,
}

/// Why the log did not take events in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFailure {
    /// The database refuses one of them.
    #[error("the database refuses an event")]
    Unstorable,
    /// The log is not available, or has no room.
    #[error("the own log is not available")]
    Unavailable,
}
