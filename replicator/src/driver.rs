//! The shell around the core: clocks, tasks, calls, the log. Moves bytes, decides nothing.
//!
//! Each peer has a task of its own, so a slow or dead one costs the others and the writers nothing
//! (F24). What is to be pushed is read from the log when its turn comes; nothing queues (F25).

mod calls;
mod clocks;
mod engine;
mod permits;
mod pushes;
mod stores;
mod tasks;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use causeway_domain::envelope::RawEvent;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::version_vector::VersionVector;
use causeway_replicator_core::auth::{Head, Session};
use causeway_replicator_core::core::Input;
use causeway_replicator_core::failure::StoreFailure;
use causeway_replicator_core::freshness::Verdict;
use causeway_replicator_core::me::Me;
use causeway_replicator_core::presence::{Online, OnlineChanges};
use causeway_replicator_core::view::{Knowledge, PeerView};
use causeway_replicator_core::wire::{Caller, Digest, PushAnswer, Refusal};
use causeway_store::log::Log;
use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::DropGuard;

use crate::inquiry::Answer;
use crate::link::Link;
use crate::refused::Refused;
use crate::traffic::Traffic;

use calls::Call;
pub use clocks::Clocks;
use engine::Engine;
pub use permits::Permit;
use tasks::Tasks;

/// How long a start waits for the closed timestamps of peers.
const FLOOR_PATIENCE: Duration = Duration::from_secs(2);
/// How long a start waits for a new epoch to be durable.
const RENEWAL: Duration = Duration::from_secs(10);

/// A handle on the running replicator. Cheap to clone; its tasks end with `stop` or with the last
/// handle.
#[derive(Clone)]
pub struct Replicator {
    engine: Arc<Engine>,
    _stops_tasks: Arc<DropGuard>,
}

/// Why a push or a pull is not served.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// The caller is not served.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// So many of its calls are being served that this one has to wait.
    #[error("too many calls of one peer at once")]
    Busy,
}

impl Replicator {
    /// Starts to agree with the peers, each over its link. A peer without a link is only listened
    /// to.
    pub fn spawn<L: Link>(
        me: Me,
        links: BTreeMap<ReplicaId, L>,
        log: Log,
        clocks: Arc<Clocks>,
    ) -> Self {
        let (tasks, guard) = Tasks::new();
        let (calls, inboxes): (BTreeMap<_, _>, Vec<_>) = links
            .into_iter()
            .map(|(peer, link)| {
                let (sender, inbox) = mpsc::unbounded_channel();
                ((peer, sender), (peer, link, inbox))
            })
            .unzip();
        let (stores, to_store) = mpsc::unbounded_channel();
        let engine = Engine::new(me, log, clocks, tasks.clone(), calls, stores);
        let engine = Arc::new(engine);
        for (peer, link, inbox) in inboxes {
            tasks.spawn_critical(calls::talk(Arc::clone(&engine), peer, link, inbox));
        }
        tasks.spawn_critical(stores::store_all(Arc::clone(&engine), to_store));
        tasks.spawn_critical(Arc::clone(&engine).follow_the_log());
        tasks.spawn_critical(Arc::clone(&engine).follow_the_clock());
        Self {
            engine,
            _stops_tasks: guard,
        }
    }

    /// Waits until one of its tasks ends, which none does by itself: a defect, which is logged.
    pub async fn ended(&self) {
        self.engine.tasks.ended().await;
    }

    /// Judges whether a call whose signature was found right is new, and remembers it.
    pub(crate) fn judge(&self, call: &Head) -> Verdict {
        let now_ms = self.engine.now().ms;
        self.engine.incoming().judge(now_ms, call)
    }

    /// The session that an answer offers.
    pub(crate) fn offer(&self) -> Session {
        let now_ms = self.engine.now().ms;
        self.engine.incoming().offer(now_ms)
    }

    /// Tells the operator that a caller is refused for what its connection shows.
    pub(crate) fn refuse(&self, replica: ReplicaId, reason: Refusal) {
        self.engine.step(Input::CallRefused { replica, reason });
    }

    /// Admits a digest, as one of a few of each peer at a time.
    pub(crate) fn admit_digest(&self, from: ReplicaId) -> Result<Permit, AdmissionError> {
        let permit = self.engine.digest_permits.take(from);
        permit.ok_or(AdmissionError::Busy)
    }

    /// Takes in the digest of a peer that calls; its answer is ours.
    pub fn take_digest(&self, digest: Digest) -> Result<Digest, Refusal> {
        let answer = self.engine.step(Input::DigestCalled(Box::new(digest)));
        let answer = answer.expect("the core answers every digest");
        answer.map(|digest| *digest)
    }

    /// Admits a push, as one of a few calls of each peer at a time.
    pub fn admit_push(&self, caller: &Caller) -> Result<Permit, AdmissionError> {
        self.engine.core().admit_push(caller)?;
        self.permit(caller)
    }

    /// Admits a pull, as one of a few calls of each peer at a time; returns beyond what the log is to
    /// be read for it. Only a rescue pulls forked origins as well.
    pub fn admit_pull(
        &self,
        caller: &Caller,
        after: VersionVector,
        with_forked: bool,
    ) -> Result<(Permit, VersionVector), AdmissionError> {
        let after = self.engine.core().admit_pull(caller, after, with_forked)?;
        Ok((self.permit(caller)?, after))
    }

    fn permit(&self, caller: &Caller) -> Result<Permit, AdmissionError> {
        let permit = self.engine.permits.take(caller.replica);
        permit.ok_or(AdmissionError::Busy)
    }

    /// Takes in the events of a push that was admitted.
    pub async fn take_push(
        &self,
        permit: Permit,
        events: Vec<RawEvent>,
    ) -> Result<PushAnswer, StoreFailure> {
        let from = permit.peer;
        self.engine.traffic.received(from, events.len());
        let (ticket, answered) = self.engine.pushes.open(permit);
        self.engine.step(Input::PushCalled {
            from,
            ticket,
            events,
        });
        tokio::select! {
            answer = answered => answer.unwrap_or(Err(StoreFailure::Unavailable)),
            () = self.engine.tasks.stopped() => Err(StoreFailure::Unavailable),
        }
    }

    /// Tells the peers which of our users came (first stream on a group) and went (last one
    /// ended). Changes are gathered for a moment, then sent at once.
    pub fn change_presence(&self, came: Vec<Online>, went: Vec<Online>) {
        self.engine.step(Input::Presence { came, went });
    }

    /// Returns which users came to and went from the peers since the last call, which is for one
    /// caller. A change is announced by [`Replicator::watch_knowledge`].
    pub fn take_online_changes(&self) -> OnlineChanges {
        self.engine.core().take_online_changes()
    }

    /// What is known of the peers now.
    pub fn knowledge(&self) -> Arc<Knowledge> {
        self.engine.knowledge.borrow().clone()
    }

    /// Rings whenever what is known of the peers has changed.
    pub fn watch_knowledge(&self) -> watch::Receiver<Arc<Knowledge>> {
        self.engine.knowledge.subscribe()
    }

    /// The peers as people are shown them.
    pub fn view(&self) -> Vec<PeerView> {
        let held = &self.engine.log.head().vector;
        self.knowledge().view(self.engine.now().ms, held)
    }

    /// How many own events no peer has shown to hold, and for how many milliseconds the oldest.
    pub fn unconfirmed(&self) -> Option<(u64, u64)> {
        self.engine.core().unconfirmed()
    }

    /// How many calls were refused before they were heard out.
    pub fn refused(&self) -> &Refused {
        &self.engine.refused
    }

    /// How many events went to and came from each peer.
    pub fn traffic(&self) -> &Traffic {
        &self.engine.traffic
    }

    /// Asks every peer once for its closed timestamp, and returns the highest that came within two seconds: a
    /// new origin must write above it.
    pub async fn ask_closed_timestamps(&self) -> Option<Hlc> {
        let question = Box::new(self.engine.core().question());
        let asked = self.engine.calls.values().map(|calls| {
            let (answer, answered) = oneshot::channel();
            // A task that has ended drops the sender, which reads as no answer.
            let _ = calls.send(Call::Ask(question.clone(), answer));
            timeout(FLOOR_PATIENCE, answered)
        });
        let answers = join_all(asked).await;
        answers.into_iter().filter_map(|a| a.ok()?.ok()).max()
    }

    /// Who this replica wrote as at the start.
    pub fn began_as(&self) -> Origin {
        self.engine.began_as
    }

    /// Hands over what peers answered before anything was written here. Where they know events of this
    /// replica that it has lost, or other ones in their place, waits until it has a new epoch: whatever
    /// it wrote before that would have numbers that were given already (F1). Tells whether it may write.
    pub async fn look_back(&self, answers: BTreeMap<ReplicaId, Answer>) -> bool {
        let former = self.began_as();
        for (peer, answer) in answers {
            let digest = Box::new(answer.digest);
            self.engine.step(Input::AnsweredBefore { peer, digest });
        }
        if !self.engine.core().is_doubted(former) {
            return true;
        }
        let mut commits = self.log().commits();
        let is_renewed = commits.wait_for(|head| head.origin != former);
        matches!(timeout(RENEWAL, is_renewed).await, Ok(Ok(_)))
    }

    /// The log it replicates.
    pub fn log(&self) -> &Log {
        &self.engine.log
    }

    /// Ends all calls and tasks.
    pub async fn stop(&self) {
        self.engine.tasks.stop().await;
    }
}
