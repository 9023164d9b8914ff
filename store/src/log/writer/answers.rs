//! What is told whoever waits for a batch.

use std::sync::Arc;

use causeway_domain::writing::{Head, Verdict};

use crate::log::{Asker, Done, SubmitError};

/// An answer nobody waits for any more is dropped: the write stands all the same (F13).
pub(super) fn answer(asker: Asker, verdict: Verdict, head: &Arc<Head>) {
    match (asker, verdict) {
        (Asker::Submit(to, place), Verdict::Submitted(decided)) => {
            // Before the answer: whoever has it may write again at once.
            drop(place);
            let head = head.clone();
            let done = decided.map(|event| Done { event, head });
            let _ = to.send(done.map_err(SubmitError::Refused));
        }
        (Asker::Absorb(to, _), Verdict::Absorbed(absorbed)) => {
            let _ = to.send(Ok((absorbed, head.clone())));
        }
        (Asker::Persist(to), Verdict::Persisted(decided)) => {
            let _ = to.send(decided.map_err(|_| SubmitError::Conflict));
        }
        (Asker::Raise(to), Verdict::Raised) => {
            let _ = to.send(());
        }
        _ => unreachable!("a verdict is of the kind of its task"),
    }
}

/// Tells why nothing was written, or why it cannot be answered for.
pub(super) fn refuse(asker: Asker, failure: &SubmitError) {
    match asker {
        Asker::Submit(to, _) => drop(to.send(Err(failure.clone()))),
        Asker::Absorb(to, _) => drop(to.send(Err(failure.clone()))),
        Asker::Persist(to) => drop(to.send(Err(failure.clone()))),
        Asker::Raise(to) => drop(to),
    }
}
