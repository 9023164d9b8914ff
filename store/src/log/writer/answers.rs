//! Answers to the callers that wait for the writer.

use std::sync::Arc;

use causeway_domain::writing::machine::WriteFailure;
use causeway_domain::writing::{Head, Verdict};

use crate::log::{Done, Reply, SubmitError};

impl From<WriteFailure> for SubmitError {
    fn from(why: WriteFailure) -> Self {
        match why {
            WriteFailure::Unavailable => Self::Unavailable,
            WriteFailure::FileStuck => Self::FileStuck,
            WriteFailure::DiskFull => Self::DiskFull,
            WriteFailure::Unstorable => Self::Unstorable,
        }
    }
}

/// Sends an answer. If its caller was cancelled the answer is dropped, and the write stands (F13).
pub(super) fn answer(reply: Reply, verdict: Verdict, head: Arc<Head>) {
    match (reply, verdict) {
        (Reply::Submit(to, place), Verdict::Submitted(decided)) => {
            // Before the answer, after which the caller may write again at once.
            drop(place);
            let done = decided.map(|event| Done { event, head });
            let _ = to.send(done.map_err(SubmitError::Refused));
        }
        (Reply::Absorb(to), Verdict::Absorbed(absorbed)) => {
            let _ = to.send(Ok((absorbed, head)));
        }
        (Reply::Restamp(to), Verdict::Restamped) | (Reply::Raise(to), Verdict::Raised) => {
            let _ = to.send(Ok(()));
        }
        (Reply::Renew(to), Verdict::Renewed(origin)) => {
            let _ = to.send(Ok(origin));
        }
        _ => unreachable!("a verdict has the kind of its task"),
    }
}

/// Answers that the write failed, or that its outcome is unknown.
pub(super) fn fail(reply: Reply, why: WriteFailure) {
    let why = SubmitError::from(why);
    match reply {
        Reply::Submit(to, _) => drop(to.send(Err(why))),
        Reply::Absorb(to) => drop(to.send(Err(why))),
        Reply::Restamp(to) | Reply::Raise(to) => drop(to.send(Err(why))),
        Reply::Renew(to) => drop(to.send(Err(why))),
    }
}
