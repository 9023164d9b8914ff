//! The shell around the core: clocks, tasks, calls, the log. Moves bytes, decides nothing.
//!
//! Each peer has a task of its own, so a slow or dead one costs the others and the writers nothing
//! (F24). What is to be pushed is read from the log when its turn comes; nothing queues (F25).

mod absorb;
mod ahead;
mod calls;
mod clocks;
mod turns;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::Duration;

use causeway_domain::envelope::RawEvent;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::version_vector::VersionVector;
use causeway_replicator_core::alarm::Alarm;
use causeway_replicator_core::core::{Core, Input, Output};
use causeway_replicator_core::me::Me;
use causeway_replicator_core::now::Now;
use causeway_replicator_core::presence::Online;
use causeway_replicator_core::view::{Knowledge, PeerView};
use causeway_replicator_core::wire::{Caller, Digest, PushAnswer, Refusal};
use causeway_store::log::{Log, SubmitError};
use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use crate::inquiry::Answer;
use crate::link::Link;
use crate::traffic::Traffic;

use calls::Call;
pub use clocks::Clocks;
pub use turns::Turn;
use turns::Turns;

/// How soon a new epoch is tried again that could not be made durable.
const RENEW_AGAIN: Duration = Duration::from_secs(1);
/// How long a start waits for the floors of peers.
const FLOOR_PATIENCE: Duration = Duration::from_secs(2);
/// How long a start waits for a new epoch to be durable.
const RENEWAL: Duration = Duration::from_secs(10);

/// A handle on the running replicator. Cheap to clone; its tasks end with `stop` or with the last
/// handle.
#[derive(Clone)]
pub struct Replicator {
    engine: Arc<Engine>,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

/// Why a push or a pull is not served.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The caller is not served.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// So many of its calls are being served that this one has to wait.
    #[error("too many calls of one peer at once")]
    Busy,
}

impl Replicator {
    /// Waits until one of its tasks ends, which none does by itself: a defect, of which the log tells.
    pub async fn ended(&self) {
        let next = |context: &mut Context<'_>| self.tasks().poll_join_next(context);
        drop(poll_fn(next).await);
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts to agree with the peers, each over its link. A peer without a link is only listened
    /// to.
    pub fn spawn<L: Link>(
        me: Me,
        links: BTreeMap<ReplicaId, L>,
        log: Log,
        clocks: Arc<Clocks>,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let (calls, inboxes): (BTreeMap<_, _>, Vec<_>) = links
            .into_iter()
            .map(|(peer, link)| {
                let (sender, inbox) = mpsc::unbounded_channel();
                ((peer, sender), (peer, link, inbox))
            })
            .unzip();
        let engine = Arc::new(Engine::new(me, log, clocks, calls));
        for (peer, link, inbox) in inboxes {
            tasks.spawn(calls::talk(Arc::clone(&engine), peer, link, inbox));
        }
        tasks.spawn(Arc::clone(&engine).follow_the_bell());
        tasks.spawn(Arc::clone(&engine).follow_the_clock());
        Self {
            engine,
            tasks: Arc::new(Mutex::new(tasks)),
        }
    }

    /// Takes in the digest of a peer that calls; its answer is ours.
    pub fn take_digest(&self, digest: Digest) -> Result<Digest, Refusal> {
        let outputs = self.engine.step(Input::DigestCalled(Box::new(digest)));
        let answer = outputs.into_iter().find_map(|output| match output {
            Output::Answer(answer) => Some(answer),
            _ => None,
        });
        answer
            .expect("the core answers every digest")
            .map(|digest| *digest)
    }

    /// Lets a push in, as one of a few calls of each peer at a time. Held until it is answered.
    pub fn take_turn_to_push(&self, caller: &Caller) -> Result<Turn, TurnError> {
        self.engine.core().admit_push(caller)?;
        self.take_turn(caller)
    }

    /// Lets a pull in, as one of a few calls of each peer at a time. Held until it is answered.
    pub fn take_turn_to_pull(&self, caller: &Caller) -> Result<Turn, TurnError> {
        self.engine.core().admit_pull(caller)?;
        self.take_turn(caller)
    }

    fn take_turn(&self, caller: &Caller) -> Result<Turn, TurnError> {
        self.engine
            .turns
            .take(caller.replica)
            .ok_or(TurnError::Busy)
    }

    /// Takes in the events that a peer pushes in its turn. Events whose past is still missing wait a moment
    /// for it; then they are left, and the core pulls.
    pub async fn take_push(
        &self,
        caller: &Caller,
        events: Vec<RawEvent>,
    ) -> Result<PushAnswer, SubmitError> {
        let from = caller.replica;
        self.engine.traffic.received(from, events.len());
        let absorbed = self.engine.absorb_patiently(from, events).await?;
        let outputs = self.engine.step(Input::PushCalled { from, absorbed });
        let answer = outputs.into_iter().find_map(|output| match output {
            Output::PushAnswer(answer) => Some(answer),
            _ => None,
        });
        Ok(answer.expect("the core answers every push"))
    }

    /// Returns beyond what the log is to be read for a peer that pulls. Only a rescue pulls forked
    /// origins as well: it gives its own side up for ours.
    pub fn servable_after(&self, after: &VersionVector) -> VersionVector {
        self.engine.core().servable_after(after)
    }

    /// Tells the peers which of our users came (first stream on a group) and went (last one
    /// ended). Changes are gathered for a moment, then sent at once.
    pub fn change_presence(&self, came: Vec<Online>, went: Vec<Online>) {
        self.engine.step(Input::Presence { came, went });
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

    /// How many events went to and came from each peer.
    pub fn traffic(&self) -> &Traffic {
        &self.engine.traffic
    }

    /// Asks every peer once for its floor, and returns the highest that came within two seconds: a
    /// new origin must write above it.
    pub async fn ask_floors(&self) -> Option<Hlc> {
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
        let mut bell = self.log().bell();
        let is_renewed = bell.wait_for(|head| head.origin != former);
        matches!(timeout(RENEWAL, is_renewed).await, Ok(Ok(_)))
    }

    /// The log it replicates.
    pub fn log(&self) -> &Log {
        &self.engine.log
    }

    /// Ends all calls and tasks.
    pub async fn stop(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks());
        tasks.shutdown().await;
    }
}

struct Engine {
    began_as: Origin,
    core: Mutex<Core>,
    log: Log,
    clocks: Arc<Clocks>,
    traffic: Traffic,
    turns: Turns,
    calls: BTreeMap<ReplicaId, mpsc::UnboundedSender<Call>>,
    next_wake_ms: watch::Sender<u64>,
    knowledge: watch::Sender<Arc<Knowledge>>,
}

impl Engine {
    fn new(
        me: Me,
        log: Log,
        clocks: Arc<Clocks>,
        calls: BTreeMap<ReplicaId, mpsc::UnboundedSender<Call>>,
    ) -> Self {
        let began_as = me.origin;
        let traffic = Traffic::of(&me.peers);
        let turns = Turns::of(&me.peers);
        let core = Core::new(clocks.now(), me, log.head());
        Self {
            began_as,
            next_wake_ms: watch::Sender::new(core.next_wake()),
            knowledge: watch::Sender::new(Arc::new(core.knowledge())),
            core: Mutex::new(core),
            log,
            clocks,
            traffic,
            turns,
            calls,
        }
    }

    /// Steps the core and starts what it wants. Returns the answers, for whoever asked.
    fn step(&self, input: Input) -> Vec<Output> {
        let outputs = {
            let mut core = self.core();
            let revision = core.revision();
            let outputs = core.step(self.now(), input);
            if core.revision() != revision {
                self.knowledge.send_replace(Arc::new(core.knowledge()));
            }
            self.clocks.bound(core.ceiling_ms());
            let next = core.next_wake();
            self.next_wake_ms
                .send_if_modified(|wake| std::mem::replace(wake, next) != next);
            outputs
        };
        outputs.into_iter().filter_map(|o| self.start(o)).collect()
    }

    /// Starts one thing, unless it is an answer.
    fn start(&self, output: Output) -> Option<Output> {
        let (peer, call) = match output {
            Output::Digest { to, digest } => (to, Call::Digest(digest)),
            Output::Push { to, push } => (to, Call::Push(push)),
            Output::Pull { from, after } => (from, Call::Pull(after)),
            Output::ReadHash {
                peer,
                origin,
                seq,
                theirs,
            } => (peer, Call::ReadHash(origin, seq, theirs)),
            Output::Alarm(alarm) => {
                sound(&alarm);
                self.renew_if_told_of_unknown_own_events(&alarm);
                return None;
            }
            answer @ (Output::Answer(_) | Output::PushAnswer(_)) => return Some(answer),
        };
        if let Some(calls) = self.calls.get(&peer) {
            // The task ends only when the replicator stops.
            let _ = calls.send(call);
        }
        None
    }

    /// Peers know events of our own origin that are not here, or other ones: this database is a
    /// former state of itself. Whatever is written from now on needs numbers that were never given
    /// (F1); what the peers have of the former epoch is then pulled like anyone's.
    fn renew_if_told_of_unknown_own_events(&self, alarm: &Alarm) {
        let Some(origin) = alarm.doubted() else {
            return;
        };
        let log = self.log.clone();
        if origin != log.origin() {
            return;
        }
        // Any number will do that this replica has not used: the writer sees to that.
        let fresh_epoch =
            self.clocks.started().elapsed().subsec_nanos() ^ origin.epoch.0.rotate_left(16);
        tokio::spawn(async move {
            loop {
                match log.renew(origin, fresh_epoch).await {
                    Ok(renewed) => {
                        tracing::warn!(%origin, %renewed, "goes on with a new epoch");
                        return;
                    }
                    // The alarm is given once; the database will come back.
                    Err(failure) => tracing::error!(%origin, %failure, "cannot draw a new epoch"),
                }
                if log.is_not_ours() {
                    return;
                }
                tokio::time::sleep(RENEW_AGAIN).await;
            }
        });
    }

    async fn follow_the_bell(self: Arc<Self>) {
        let mut bell = self.log.bell();
        while bell.changed().await.is_ok() {
            let head = Arc::clone(&bell.borrow_and_update());
            self.step(Input::Committed(head));
        }
    }

    async fn follow_the_clock(self: Arc<Self>) {
        let mut next_wake_ms = self.next_wake_ms.subscribe();
        loop {
            let wake_ms = *next_wake_ms.borrow_and_update();
            let alarm = self.clocks.started() + Duration::from_millis(wake_ms);
            tokio::select! {
                () = sleep_until(alarm) => {
                    let random = u64::from(self.clocks.started().elapsed().subsec_nanos());
                    self.step(Input::Tick { random });
                }
                _ = next_wake_ms.changed() => {}
            }
        }
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        self.clocks.now()
    }
}

/// Each alarm comes once, until it has passed.
fn sound(alarm: &Alarm) {
    let kind = alarm.kind();
    match alarm {
        Alarm::Fork { .. } | Alarm::OwnEventsUnknown { .. } => tracing::error!(kind, "{alarm}"),
        _ => tracing::warn!(kind, "{alarm}"),
    }
}
