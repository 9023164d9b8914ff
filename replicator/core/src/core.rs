//! What to do next, decided: `step(now, input) -> outputs`. No clock, no randomness, no IO, so that
//! a seed replays a run byte for byte. Driven by the HTTP shell (`driver`) and by the simulator in
//! the tests.

mod act;
mod admission;
mod alarms;
mod digests;
mod exclusions;
mod messages;
mod outgoing;
mod pulls;
mod pushes;
mod stores;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_domain::ids::ReplicaId;
use causeway_domain::marks::Marks;
use causeway_domain::writing::Head;
use causeway_domain::writing::machine::Backlog;

pub use digests::check_answer;
pub use messages::{Input, Output};

use crate::alarm::{Alarm, Telling};
use crate::blocked::Blocked;
use crate::inbound::InboundPush;
use crate::lag::Lag;
use crate::liveness::{Outward, Status};
use crate::me::Me;
use crate::now::Now;
use crate::peer::Peer;
use crate::prefetch::PrefetchCounts;
use crate::presence::{Elsewhere, Online, OnlineChanges, OwnPresence};
use crate::view::Knowledge;
use crate::wire::Refusal;
use crate::wire::events::BATCH_EVENTS;

use alarms::{find_forks, find_unknown_own, fork_alarm, unknown_own_alarm};
use stores::Stores;

/// The longest time without a tick.
const IDLE_MS: u64 = 1_000;
/// How long presence changes are gathered.
const GATHER_MS: u64 = 50;

/// How many times as fast as events come in a backlog is stored while clients write.
const CATCH_UP_FACTOR: u64 = 10;

/// Precision of the age of own events that no peer holds.
const UNCONFIRMED_APART_MS: u64 = 1_000;

/// One replica's side of the agreement.
#[derive(Debug)]
pub struct Core {
    me: Me,
    head: Arc<Head>,
    peers: BTreeMap<ReplicaId, Peer>,
    presence: OwnPresence,
    elsewhere: Elsewhere,
    n: u64,
    random: u64,
    now: Now,
    /// Callers refused, and when last.
    refused: BTreeMap<ReplicaId, (Refusal, u64)>,
    /// Events of this replica that no peer is known to hold.
    unconfirmed: Marks,
    /// How far this replica's readers are behind.
    read_lag_ms: u64,
    alarms: Arc<Vec<Alarm>>,
    telling: Telling,
    blocked: Blocked,
    /// Most events of a batch that is pulled.
    batch_events: usize,
    /// The last number that was given to a call or a store.
    last_id: u64,
    stores: Stores,
    prefetches: PrefetchCounts,
    /// What peers pushed and is not answered, by ticket.
    pushes: BTreeMap<u64, InboundPush>,
    /// The pushes that this step answers.
    answered: Vec<u64>,
    /// Whose pull has just brought something that is followed by more.
    goes_on: Option<ReplicaId>,
    has_caught_up: bool,
    revision: u64,
}

impl Core {
    /// Starts with what the log holds and knows nothing of the peers.
    pub fn new(now: Now, me: Me, head: Arc<Head>) -> Self {
        let unheard = |&id: &ReplicaId| (id, Peer::unheard(now));
        Self {
            peers: me.peers.iter().map(unheard).collect(),
            random: me.instance.0,
            me,
            head,
            presence: OwnPresence::default(),
            elsewhere: Elsewhere::default(),
            n: 0,
            now,
            refused: BTreeMap::new(),
            blocked: Blocked::default(),
            batch_events: BATCH_EVENTS,
            last_id: 0,
            stores: Stores::new(),
            prefetches: PrefetchCounts::default(),
            pushes: BTreeMap::new(),
            answered: Vec::new(),
            goes_on: None,
            unconfirmed: Marks::apart(UNCONFIRMED_APART_MS),
            read_lag_ms: 0,
            alarms: Arc::default(),
            telling: Telling::default(),
            has_caught_up: false,
            revision: 0,
        }
    }

    /// Sets how many events a batch that is pulled has at most.
    #[must_use]
    pub fn with_batches_of(mut self, events: usize) -> Self {
        self.batch_events = events;
        self
    }

    /// Takes in what happened and says what to do.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        self.now = now;
        let mut out = Vec::new();
        let answer_to = self.take_in(now, input, &mut out);
        self.go_on(now, &mut out);
        self.count_presence();
        if let Some(admitted) = answer_to {
            let answer = admitted.map(|to| Box::new(self.digest_for(to)));
            out.push(Output::Answer(answer));
        }
        let former = self.me.origin;
        let is_doubt =
            |output: &Output| matches!(output, Output::Alarm(it) if it.doubted() == Some(former));
        if out.iter().any(is_doubt) {
            out.push(Output::Renew { former });
        }
        for ticket in std::mem::take(&mut self.answered) {
            let answer = Ok(self.push_answer());
            out.push(Output::PushAnswer { ticket, answer });
        }
        self.bound_alarms(out)
    }

    /// When to tick at the latest, on the clock of [`Now::ms`].
    pub fn next_wake(&self) -> u64 {
        let of_peer = |peer: &Peer| {
            let digest = peer.digest.sent_ms.is_none().then_some(peer.digest.due_ms);
            [digest, peer.liveness.next_change_ms(), peer.next_pull_ms()]
        };
        let of_peers = self.peers.values().flat_map(of_peer).flatten();
        let of_pushes = self.pushes.values().filter_map(InboundPush::deadline_ms);
        // What is already due waits for an input, not for time.
        let deadlines = of_peers.chain(of_pushes).filter(|&due| due > self.now.ms);
        let next = deadlines.min();
        next.unwrap_or(self.now.ms + IDLE_MS)
    }

    /// What others may know, as it stands.
    pub fn knowledge(&self) -> Knowledge {
        let mut knowledge =
            Knowledge::gather(&self.me, &self.head, &self.peers, self.has_caught_up);
        knowledge.alarms = Arc::clone(&self.alarms);
        knowledge
    }

    /// Counts up whenever [`Core::knowledge`] may have changed.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns which users came to and went from the peers since the last call. A change is announced
    /// by [`Core::revision`].
    pub fn take_online_changes(&mut self) -> OnlineChanges {
        self.elsewhere.take_changes()
    }

    /// Who is online at a peer.
    pub fn online_at(&self, peer: ReplicaId) -> impl Iterator<Item = &Online> {
        let peer = self.peers.get(&peer).into_iter();
        peer.flat_map(|peer| peer.presence.online())
    }

    /// How fast a backlog is to be stored while clients write. With a new epoch this replica is not
    /// ready before it has caught up once.
    pub fn backlog(&self, has_new_epoch: bool) -> Backlog {
        if has_new_epoch && !self.has_caught_up {
            return Backlog::First;
        }
        let inflow: u64 = self.peers.values().map(|peer| peer.inflow.per_s()).sum();
        let least = inflow.saturating_mul(CATCH_UP_FACTOR);
        Backlog::AtLeast(u32::try_from(least).unwrap_or(u32::MAX))
    }

    /// Sets how far this replica's readers are behind, for its digests.
    pub fn set_read_lag(&mut self, ms: u64) {
        self.read_lag_ms = ms;
    }

    /// How far the readers of own events are behind, at most, at peers that are up: until the event
    /// is there, and until it is readable. A lag beyond `bound_ms` that does not shrink is ignored.
    pub fn peers_lag_ms(&mut self, now: Now, bound_ms: u64) -> u64 {
        let lags = self.peers.values_mut().map(|peer| {
            let is_there = peer.liveness.status == Status::Up && peer.liveness.out == Outward::Ok;
            peer.lag.counted_ms(now, is_there, bound_ms)
        });
        lags.max().unwrap_or(0)
    }

    /// How prefetched batches fared.
    pub fn prefetches(&self) -> PrefetchCounts {
        self.prefetches
    }

    /// How many pushes wait for the past of their events.
    pub fn waiting_pushes(&self) -> usize {
        let waiting = self.pushes.values().filter_map(InboundPush::deadline_ms);
        waiting.count()
    }

    /// Returns whom to answer with a digest, or that it is refused, where a peer called with one.
    fn take_in(
        &mut self,
        now: Now,
        input: Input,
        out: &mut Vec<Output>,
    ) -> Option<Result<ReplicaId, Refusal>> {
        match input {
            Input::Tick { random } => {
                self.random ^= random;
                self.review_alarms(now, out);
            }
            Input::Committed(head) => self.committed(head, out),
            Input::Presence { came, went } => self.presence_changed(now, came, went),
            Input::AnsweredBefore { peer, digest } => self.answered_before(now, peer, &digest, out),
            Input::DigestCalled(digest) => {
                return Some(self.digest_called(now, *digest, out));
            }
            Input::CallRefused { replica, reason } => self.refuse(now, replica, reason, out),
            Input::DigestDone { peer, result } => self.digest_done(now, peer, result, out),
            Input::PushCalled {
                from,
                ticket,
                events,
            } => self.push_called(now, from, ticket, events, out),
            Input::PushDone { peer, sent, result } => self.push_done(now, peer, &sent, result),
            Input::PullDone { peer, call, result } => self.pull_done(now, peer, call, result, out),
            Input::StoreDone { store, result } => self.store_done(now, store, result, out),
            Input::HashRead {
                peer,
                origin,
                seq,
                theirs,
                ours,
            } => {
                let settle = |peer: &mut Peer| peer.forks.settle(now.ms, origin, seq, theirs, ours);
                let forked = self.peers.get_mut(&peer).and_then(settle);
                out.extend(forked.map(|origin| fork_alarm(peer, origin)));
            }
        }
        None
    }

    fn committed(&mut self, head: Arc<Head>, out: &mut Vec<Output>) {
        // The commit signal and the answers of the log take different ways here: never go back.
        if head.offset < self.head.offset || head.closed_ts < self.head.closed_ts {
            return;
        }
        // A new epoch may have been drawn; the former one is then pulled like anyone's.
        if self.me.origin != head.origin {
            self.unconfirmed = Marks::apart(UNCONFIRMED_APART_MS);
            for peer in self.peers.values_mut() {
                peer.lag = Lag::default();
            }
        }
        self.me.origin = head.origin;
        self.head = head;
        self.blocked.recheck(&self.head.vector);
        let own_seq = self.head.vector.get(self.me.origin);
        self.unconfirmed.reach(self.now.ms, own_seq);
        for peer in self.peers.values_mut() {
            peer.lag.wrote(self.now, own_seq);
        }
        self.revision += 1;
        for peer in self.peers.values_mut() {
            peer.report.recheck(&self.head.vector);
        }
        // While events keep coming in, a digest always shows some that are not here yet.
        let held = &self.head.vector;
        let has_all_of = |peer: &Peer| peer.has_shown_nothing_beyond(held);
        self.has_caught_up = self.has_caught_up || self.peers.values().any(has_all_of);
        self.retry_pushes(out);
    }

    fn presence_changed(&mut self, now: Now, came: Vec<Online>, went: Vec<Online>) {
        if !self.presence.change(came, went) {
            return;
        }
        for peer in self.peers.values_mut() {
            peer.digest.due_ms = peer.digest.due_ms.min(now.ms + GATHER_MS);
        }
    }

    fn count_presence(&mut self) {
        for peer in self.peers.values_mut() {
            let changes = peer.presence.take_changes();
            self.revision += u64::from(!changes.is_empty());
            self.elsewhere.apply(changes);
        }
    }

    fn fresh_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}
