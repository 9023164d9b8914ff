//! What goes into the core and what comes out of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use causeway_domain::chain::Hash;
use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::{Dot, Origin, ReplicaId};
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::{Absorbed, Head};

use crate::alarm::Alarm;
use crate::failure::{CallFailure, LinkError, StoreFailure};
use crate::plan::Push;
use crate::presence::Online;
use crate::wire::events::Decoded;
use crate::wire::{Digest, PushAnswer, Refusal};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time passed. `random` spreads the next digests.
    Tick {
        /// Fresh random bits.
        random: u64,
    },
    /// The log committed, or its closed timestamp has risen.
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
    /// A caller was refused before its call was read.
    CallRefused {
        /// What number it gave.
        replica: ReplicaId,
        /// Why.
        reason: Refusal,
    },
    /// A digest sent was answered, or not.
    DigestDone {
        /// Whom it was sent to.
        peer: ReplicaId,
        /// The answer.
        result: Result<Box<Digest>, LinkError>,
    },
    /// A peer that was admitted pushed events. Yields exactly one [`Output::PushAnswer`], perhaps
    /// only with a later step.
    PushCalled {
        /// Who pushed.
        from: ReplicaId,
        /// Names the push in its answer. Never used before.
        ticket: u64,
        /// What it pushed.
        events: Vec<RawEvent>,
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
    /// A pull was answered, or not.
    PullDone {
        /// Who was asked.
        peer: ReplicaId,
        /// The number of the call.
        call: u64,
        /// The batch.
        result: Result<Decoded, LinkError>,
    },
    /// The log took events in, or not. What it holds with them comes before, as
    /// [`Input::Committed`].
    StoreDone {
        /// The number of the output.
        store: u64,
        /// What became of them.
        result: Result<Absorbed, StoreFailure>,
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

/// Something to do. At most one digest and one push is under way with each peer: a new one takes the
/// place of the former, which is dropped. Every call that is neither dropped nor cancelled, and every
/// store, ends with its `…Done`.
#[derive(Clone, Debug)]
pub enum Output {
    /// Answer the digest that was just taken in.
    Answer(Result<Box<Digest>, Refusal>),
    /// Answer a push.
    PushAnswer {
        /// Which.
        ticket: u64,
        /// What is held now; or why its events could not be stored.
        answer: Result<PushAnswer, StoreFailure>,
    },
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
    /// Ask for one batch.
    Pull {
        /// Whom.
        from: ReplicaId,
        /// Names the call when it ends.
        call: u64,
        /// Beyond what.
        after: VersionVector,
        /// Most events to ask for.
        limit: usize,
    },
    /// Give a pull up, where it is still under way.
    CancelPull {
        /// Who was asked.
        from: ReplicaId,
        /// The number of the call.
        call: u64,
    },
    /// Hand events to the log.
    Store {
        /// Names them when that is done.
        store: u64,
        /// Who gave them.
        from: ReplicaId,
        /// The events, in the order in which they came.
        events: Vec<RawEvent>,
        /// What the events name of these origins is not awaited.
        not_awaited: BTreeSet<Origin>,
    },
    /// Tell the operator that the log refuses an event: it was left out, and its origin waits behind
    /// it.
    LeftOut {
        /// Who gave it.
        from: ReplicaId,
        /// Which.
        dot: Dot,
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
    /// Go on with a new epoch: peers hold events of this origin of ours that are not here, or other
    /// ones. This database is a former state of itself, and whatever is written from now on needs
    /// numbers that were never given (F1). What the peers have of the former epoch is then pulled
    /// like anyone's.
    Renew {
        /// Who is written as now.
        former: Origin,
    },
}
