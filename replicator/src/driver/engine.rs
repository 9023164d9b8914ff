//! Steps the core and starts what it wants.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::writing::Beginning;
use causeway_replicator_core::alarm::Alarm;
use causeway_replicator_core::auth::Process;
use causeway_replicator_core::core::{Core, Input, Output};
use causeway_replicator_core::freshness::Incoming;
use causeway_replicator_core::me::Me;
use causeway_replicator_core::now::Now;
use causeway_replicator_core::view::Knowledge;
use causeway_replicator_core::wire::{Digest, Refusal};
use causeway_store::log::Log;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;

use crate::refused::Refused;
use crate::traffic::Traffic;

use super::calls::Call;
use super::clocks::Clocks;
use super::permits::Permits;
use super::pushes::Pushes;
use super::stores::Store;
use super::tasks::Tasks;

/// How soon a new epoch is tried again that could not be made durable.
const RENEW_AGAIN: Duration = Duration::from_secs(1);

/// The answer to a digest.
type Answer = Result<Box<Digest>, Refusal>;

pub(super) struct Engine {
    pub began_as: Origin,
    has_new_epoch: bool,
    pub log: Log,
    pub traffic: Traffic,
    pub permits: Permits,
    /// Of digests, which bulk calls must not hold up.
    pub digest_permits: Permits,
    pub refused: Refused,
    pub pushes: Pushes,
    pub calls: BTreeMap<ReplicaId, mpsc::UnboundedSender<Call>>,
    pub knowledge: watch::Sender<Arc<Knowledge>>,
    pub tasks: Tasks,
    core: Mutex<Core>,
    incoming: Mutex<Incoming>,
    clocks: Arc<Clocks>,
    stores: mpsc::UnboundedSender<Store>,
    next_wake_ms: watch::Sender<u64>,
}

impl Engine {
    pub fn new(
        me: Me,
        log: Log,
        clocks: Arc<Clocks>,
        tasks: Tasks,
        calls: BTreeMap<ReplicaId, mpsc::UnboundedSender<Call>>,
        stores: mpsc::UnboundedSender<Store>,
    ) -> Self {
        let began_as = me.origin;
        let traffic = Traffic::of(&me.peers);
        let [permits, digest_permits] = [(); 2].map(|()| Permits::of(&me.peers));
        let own = Process {
            replica: me.origin.replica,
            instance: me.instance,
        };
        let incoming = Mutex::new(Incoming::new(own, &me.peers));
        let core = Core::new(clocks.now(), me, log.head());
        Self {
            began_as,
            has_new_epoch: log.beginning() != Beginning::Continued,
            log,
            traffic,
            permits,
            digest_permits,
            refused: Refused::default(),
            pushes: Pushes::default(),
            calls,
            knowledge: watch::Sender::new(Arc::new(core.knowledge())),
            tasks,
            next_wake_ms: watch::Sender::new(core.next_wake()),
            core: Mutex::new(core),
            incoming,
            clocks,
            stores,
        }
    }

    /// Steps the core and starts what it wants. Returns the answer, where the input was a digest that
    /// called.
    pub fn step(&self, input: Input) -> Option<Answer> {
        let outputs = {
            let mut core = self.core();
            let revision = core.revision();
            core.set_read_lag(self.log.read_lag_ms());
            let outputs = core.step(self.now(), input);
            if core.revision() != revision {
                self.knowledge.send_replace(Arc::new(core.knowledge()));
                self.log.set_backlog(core.backlog(self.has_new_epoch));
                let lag_ms = core.peers_lag_ms(self.now(), self.log.max_lag_ms());
                self.log.set_peers_lag(lag_ms);
            }
            self.clocks.bound(core.ceiling_ms());
            let next = core.next_wake();
            self.next_wake_ms
                .send_if_modified(|wake| std::mem::replace(wake, next) != next);
            outputs
        };
        let mut answer = None;
        for output in outputs {
            answer = self.start(output).or(answer);
        }
        answer
    }

    /// Starts one thing, unless it is an answer.
    fn start(&self, output: Output) -> Option<Answer> {
        match output {
            Output::Answer(answer) => return Some(answer),
            Output::PushAnswer { ticket, answer } => self.pushes.answer(ticket, answer),
            Output::Digest { to, digest } => self.call(to, Call::Digest(digest)),
            Output::Push { to, push } => self.call(to, Call::Push(push)),
            Output::Pull {
                from,
                call,
                after,
                limit,
            } => self.call(from, Call::Pull { call, after, limit }),
            Output::CancelPull { from, call } => self.call(from, Call::CancelPull(call)),
            Output::Store {
                store,
                from,
                events,
                not_awaited,
            } => {
                let work = Store {
                    id: store,
                    from,
                    events,
                    not_awaited,
                };
                // Its task ends only when the replicator stops; so do those of the peers.
                let _ = self.stores.send(work);
            }
            Output::LeftOut { from, dot } => {
                self.traffic.left_out(from, 1);
                let (origin, seq) = (dot.origin, dot.seq);
                tracing::error!(%origin, seq, "an event cannot be stored; its origin waits behind it");
            }
            Output::ReadHash {
                peer,
                origin,
                seq,
                theirs,
            } => self.call(peer, Call::ReadHash(origin, seq, theirs)),
            Output::Alarm(alarm) => report(&alarm),
            Output::Renew { former } => self.renew(former),
        }
        None
    }

    fn call(&self, peer: ReplicaId, call: Call) {
        if let Some(calls) = self.calls.get(&peer) {
            let _ = calls.send(call);
        }
    }

    /// Draws a new epoch, and tries again until it is durable.
    fn renew(&self, former: Origin) {
        let log = self.log.clone();
        // Any number will do that this replica has not used: the writer sees to that.
        let fresh_epoch =
            self.clocks.started().elapsed().subsec_nanos() ^ former.epoch.0.rotate_left(16);
        self.tasks.spawn(async move {
            loop {
                match log.renew(former, fresh_epoch).await {
                    Ok(renewed) => {
                        tracing::warn!(origin = %former, %renewed, "goes on with a new epoch");
                        return;
                    }
                    // The core asks once; the database will come back.
                    Err(failure) => {
                        tracing::error!(origin = %former, %failure, "cannot draw a new epoch");
                    }
                }
                if log.is_database_replaced() {
                    return;
                }
                tokio::time::sleep(RENEW_AGAIN).await;
            }
        });
    }

    /// Hands over what the log commits.
    pub async fn follow_the_log(self: Arc<Self>) {
        let mut commits = self.log.commits();
        while commits.changed().await.is_ok() {
            let head = Arc::clone(&commits.borrow_and_update());
            self.step(Input::Committed(head));
        }
    }

    /// Wakes the core when it wants to be woken.
    pub async fn follow_the_clock(self: Arc<Self>) {
        let mut next_wake_ms = self.next_wake_ms.subscribe();
        loop {
            let wake_ms = *next_wake_ms.borrow_and_update();
            let due = self.clocks.started() + Duration::from_millis(wake_ms);
            tokio::select! {
                () = sleep_until(due) => {
                    let random = u64::from(self.clocks.started().elapsed().subsec_nanos());
                    self.step(Input::Tick { random });
                }
                _ = next_wake_ms.changed() => {}
            }
        }
    }

    pub fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn incoming(&self) -> MutexGuard<'_, Incoming> {
        self.incoming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn now(&self) -> Now {
        self.clocks.now()
    }
}

/// Each alarm comes once, until it has passed.
fn report(alarm: &Alarm) {
    let kind = alarm.kind();
    match alarm {
        Alarm::Fork { .. } | Alarm::OwnEventsUnknown { .. } => tracing::error!(kind, "{alarm}"),
        _ => tracing::warn!(kind, "{alarm}"),
    }
}
