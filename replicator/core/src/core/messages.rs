//! What goes into the core and what comes out of it.

use std::sync::Arc;

use causeway_domain::chain::Hash;
use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::{Absorbed, Head};

use crate::alarm::Alarm;
use crate::failure::{CallFailure, LinkError};
use crate::plan::Push;
use crate::presence::Online;
use crate::wire::{Digest, PushAnswer, Refusal};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time passed. `random` spreads the next digests.
    Tick {
        /// Fresh random bits.
        random: u64,
    },
    /// The log committed, or its floor has risen.
    Committed(Arc<Head>),
    /// Users of this replica opened their first or closed their last stream on a group.
    Presence {
        /// Who came.
        came: Vec<Online>,
        /// Who went.
        went: Vec<Online>,
    },
    /// A peer told what it holds before anything was written here by this process.
    AnsweredBefore {
        /// Who.
        peer: ReplicaId,
        /// What it answered.
        digest: Box<Digest>,
    },
    /// A peer sent its digest. Yields exactly one [`Output::Answer`].
    DigestCalled(Box<Digest>),
    /// A digest sent was answered, or not.
    DigestDone {
        /// Whom it was sent to.
        peer: ReplicaId,
        /// The answer.
        result: Result<Box<Digest>, LinkError>,
    },
    /// A peer pushed events, and the log took them in. Yields exactly one
    /// [`Output::PushAnswer`].
    PushCalled {
        /// Who pushed.
        from: ReplicaId,
        /// What became of them.
        absorbed: Absorbed,
    },
    /// A push was answered, or not.
    PushDone {
        /// Whom it was sent to.
        peer: ReplicaId,
        /// The highest seqs that were in it.
        sent: VersionVector,
        /// The answer.
        result: Result<PushAnswer, CallFailure>,
    },
    /// A pulled batch is in the log, or not.
    PullDone {
        /// Who was asked.
        peer: ReplicaId,
        /// What became of the events.
        result: Result<Absorbed, CallFailure>,
        /// The next batch has been asked for already.
        is_followed: bool,
    },
    /// The log was asked for a chain.
    HashRead {
        /// Whose digest raised the question.
        peer: ReplicaId,
        /// Of which origin.
        origin: Origin,
        /// Up to which seq.
        seq: u64,
        /// What the peer holds there.
        theirs: Hash,
        /// What we hold there, where the log could tell.
        ours: Option<Hash>,
    },
}

/// Something to do. At most one call of each kind is under way with each peer: a new one takes the
/// place of the former, which is dropped. Every call that is not dropped ends with its `…Done`.
#[derive(Clone, Debug)]
pub enum Output {
    /// Answer the digest that was just taken in.
    Answer(Result<Box<Digest>, Refusal>),
    /// Answer the push that was just taken in.
    PushAnswer(PushAnswer),
    /// Send a digest.
    Digest {
        /// To whom.
        to: ReplicaId,
        /// What.
        digest: Box<Digest>,
    },
    /// Read one batch from the log and send it.
    Push {
        /// To whom.
        to: ReplicaId,
        /// What to read.
        push: Push,
    },
    /// Ask for one batch and hand it to the log.
    Pull {
        /// Whom.
        from: ReplicaId,
        /// Beyond what.
        after: VersionVector,
    },
    /// Look a chain up in the log.
    ReadHash {
        /// Whose digest raised the question.
        peer: ReplicaId,
        /// Of which origin.
        origin: Origin,
        /// Up to which seq.
        seq: u64,
        /// What the peer holds there.
        theirs: Hash,
    },
    /// Tell the operator.
    Alarm(Alarm),
}
