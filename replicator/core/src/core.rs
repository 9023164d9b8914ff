//! What to do next, decided: `step(now, input) -> outputs`. No clock, no randomness, no IO, so that
//! a seed replays a run byte for byte. Driven by the HTTP shell (`driver`) and by the simulator in
//! the tests.

mod act;
mod alarms;
mod heard;
mod messages;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::rule::{self, Rule};
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::Head;

pub use heard::check_answer;
pub use messages::{Input, Output};

use crate::alarm::Alarm;
use crate::blocked::Blocked;
use crate::forks::FAR;
use crate::identity::Identity;
use crate::instance::Instance;
use crate::liveness::Outward;
use crate::me::Me;
use crate::now::Now;
use crate::orphans;
use crate::peer::Peer;
use crate::plan;
use crate::presence::{Online, OwnPresence, Report};
use crate::unconfirmed::Unconfirmed;
use crate::view::Knowledge;
use crate::wire::{Caller, Digest, PushAnswer, Refusal};

/// The longest time without a tick.
const IDLE_MS: u64 = 1_000;
/// How long presence changes are gathered.
const GATHER_MS: u64 = 50;

/// One replica's side of the agreement.
#[derive(Debug)]
pub struct Core {
    me: Me,
    head: Arc<Head>,
    peers: BTreeMap<ReplicaId, Peer>,
    presence: OwnPresence,
    n: u64,
    random: u64,
    now: Now,
    /// Callers refused, and when last.
    refused: BTreeMap<ReplicaId, (Refusal, u64)>,
    unconfirmed: Unconfirmed,
    alarms: Arc<Vec<Alarm>>,
    blocked: Blocked,
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
            n: 0,
            now,
            refused: BTreeMap::new(),
            blocked: Blocked::default(),
            goes_on: None,
            unconfirmed: Unconfirmed::default(),
            alarms: Arc::default(),
            has_caught_up: false,
            revision: 0,
        }
    }

    /// Takes in what happened and says what to do.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        self.now = now;
        let mut out = Vec::new();
        let reply = self.take_in(now, input, &mut out);
        self.go_on(now, &mut out);
        match reply {
            Some(Reply::Digest(Ok(to))) => {
                out.push(Output::Answer(Ok(Box::new(self.digest_for(to)))));
            }
            Some(Reply::Digest(Err(refusal))) => out.push(Output::Answer(Err(refusal))),
            Some(Reply::Push) => out.push(Output::PushAnswer(self.push_answer())),
            None => {}
        }
        out
    }

    /// When to tick at the latest, on the clock of [`Now::ms`].
    pub fn next_wake(&self) -> u64 {
        let of_peer = |peer: &Peer| {
            let digest = peer.digest.sent_ms.is_none().then_some(peer.digest.due_ms);
            [digest, peer.liveness.next_change_ms(), peer.next_pull_ms()]
        };
        // What is already due waits for an input, not for time.
        let deadlines = self.peers.values().flat_map(of_peer).flatten();
        let next = deadlines.filter(|&due| due > self.now.ms).min();
        next.unwrap_or(self.now.ms + IDLE_MS)
    }

    /// Judges a caller of a pull.
    pub fn admit_pull(&self, caller: &Caller) -> Result<(), Refusal> {
        self.admit(caller, Identity::may_pull)
    }

    /// Judges a caller of a push.
    pub fn admit_push(&self, caller: &Caller) -> Result<(), Refusal> {
        self.admit(caller, Identity::may_push)
    }

    fn admit(
        &self,
        caller: &Caller,
        may: impl Fn(&Identity, Instance, bool) -> bool,
    ) -> Result<(), Refusal> {
        let peer = self.known_peer(&caller.cluster, caller.replica)?;
        let is_answering = peer.liveness.out == Outward::Ok;
        if !may(&peer.identity, caller.instance, is_answering) {
            return Err(Refusal::Clone {
                replica: caller.replica,
            });
        }
        Ok(())
    }

    /// Returns a vector to serve a pull from: what the puller holds, and the forked origins, which
    /// are exchanged no further.
    pub fn servable_after(&self, after: &VersionVector) -> VersionVector {
        if !rule::holds(Rule::AllIsRelayed) {
            let others = self.head.vector.iter().map(|(origin, _)| origin);
            let others: Vec<_> = others.filter(|&o| o != self.me.origin).collect();
            return plan::masked(after, &others);
        }
        plan::masked(after, &self.withheld())
    }

    /// Tells whether some peer knows more of an origin of ours than is held here.
    fn is_known_to_have_lost(&self, own: Origin) -> bool {
        self.peers.values().any(|peer| peer.knows_more_of(own))
    }

    /// Tells whether the numbers of an origin of ours are not safe to give, because peers hold more of
    /// it or other events.
    pub fn is_doubted(&self, own: Origin) -> bool {
        self.is_known_to_have_lost(own) || self.forked().contains(&own)
    }

    /// A digest that asks and tells nothing, for the start.
    pub fn question(&self) -> Digest {
        self.digest(0)
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

    fn take_in(&mut self, now: Now, input: Input, out: &mut Vec<Output>) -> Option<Reply> {
        match input {
            Input::Tick { random } => {
                self.random ^= random;
                self.review_alarms(now, out);
            }
            Input::Committed(head) => self.committed(head),
            Input::Presence { came, went } => self.presence_changed(now, came, went),
            Input::AnsweredBefore { peer, digest } => self.answered_before(now, peer, &digest, out),
            Input::DigestCalled(digest) => {
                return Some(Reply::Digest(self.digest_called(now, *digest, out)));
            }
            Input::DigestDone { peer, result } => self.digest_done(now, peer, result, out),
            Input::PushCalled { from, absorbed } => {
                self.push_called(now, from, &absorbed, out);
                return Some(Reply::Push);
            }
            Input::PushDone { peer, sent, result } => self.push_done(now, peer, &sent, result),
            Input::PullDone {
                peer,
                result,
                is_followed,
            } => self.pull_done(now, peer, result, is_followed, out),
            Input::HashRead {
                peer,
                origin,
                seq,
                theirs,
                ours,
            } => {
                let settle = |peer: &mut Peer| peer.forks.settle(now.ms, origin, seq, theirs, ours);
                let forked = self.peers.get_mut(&peer).and_then(settle);
                out.extend(forked.map(|origin| heard::fork_alarm(peer, origin)));
            }
        }
        None
    }

    fn committed(&mut self, head: Arc<Head>) {
        // The bell and the answers of the log take different ways here: never go back.
        if head.arrival < self.head.arrival || head.floor < self.head.floor {
            return;
        }
        // A new epoch may have been drawn; the former one is then pulled like anyone's.
        if self.me.origin != head.origin {
            self.unconfirmed = Unconfirmed::default();
        }
        self.me.origin = head.origin;
        self.head = head;
        self.blocked.recheck(&self.head.vector);
        let own_seq = self.head.vector.get(self.me.origin);
        self.unconfirmed.wrote(self.now.ms, own_seq);
        self.revision += 1;
        for peer in self.peers.values_mut() {
            peer.report.recheck(&self.head.vector);
        }
    }

    fn presence_changed(&mut self, now: Now, came: Vec<Online>, went: Vec<Online>) {
        if !self.presence.change(came, went) {
            return;
        }
        for peer in self.peers.values_mut() {
            peer.digest.due_ms = peer.digest.due_ms.min(now.ms + GATHER_MS);
        }
    }

    fn known_peer(&self, cluster: &str, replica: ReplicaId) -> Result<&Peer, Refusal> {
        if cluster != self.me.cluster {
            return Err(Refusal::OtherCluster {
                cluster: self.me.cluster.clone(),
            });
        }
        if replica == self.me.origin.replica {
            return Err(Refusal::SameNumber { replica });
        }
        let unknown = Refusal::UnknownReplica { replica };
        self.peers.get(&replica).ok_or(unknown)
    }

    fn digest_for(&mut self, to: ReplicaId) -> Digest {
        self.n += 1;
        let mut digest = self.digest(self.n);
        if let Some(peer) = self.peers.get(&to) {
            let instance = self.me.instance;
            let held = peer.presence.held();
            digest.presence = self.presence.report(instance, peer.holds_of_us, held);
            digest.forked = peer.forks.found().collect();
            let others = self.withheld().into_iter();
            digest.withheld = others.filter(|it| !digest.forked.contains(it)).collect();
            digest.rumours = self.rumours_for(to);
        }
        digest
    }

    /// What is forked, and what others than this peer told of forks elsewhere.
    fn rumours_for(&self, to: ReplicaId) -> BTreeMap<Origin, u8> {
        let others = self.peers.iter().filter(|&(&id, _)| id != to);
        let mut rumours = BTreeMap::new();
        for (origin, far) in others.flat_map(|(_, peer)| peer.forks.rumours()) {
            let farthest = rumours.entry(origin).or_insert(far);
            *farthest = far.max(*farthest);
        }
        rumours.extend(self.forked().into_iter().map(|origin| (origin, FAR)));
        rumours
    }

    fn digest(&self, n: u64) -> Digest {
        let chain = |origin| self.head.hashes.get(&origin).copied().unwrap_or_default();
        let vector = self.head.vector.iter();
        Digest {
            replica: self.me.origin.replica,
            epoch: self.me.origin.epoch,
            instance: self.me.instance,
            n,
            cluster: self.me.cluster.clone(),
            protocol: self.me.protocol,
            vector: vector.map(|(o, seq)| (o, (seq, chain(o)))).collect(),
            floor: self.head.floor,
            wall: self.now.wall_ms,
            presence: Report::default(),
            pulling: self.peers.values().any(|peer| peer.pull.is_under_way),
            forked: BTreeSet::new(),
            withheld: BTreeSet::new(),
            rumours: BTreeMap::new(),
        }
    }

    fn push_answer(&mut self) -> PushAnswer {
        self.n += 1;
        PushAnswer {
            instance: self.me.instance,
            n: self.n,
            vector: self.head.vector.clone(),
        }
    }

    /// What is not pulled from anybody: forked origins, those that pulls got stuck on, and our own,
    /// of which nobody can have more.
    fn not_pulled(&self) -> BTreeSet<Origin> {
        let mut origins = self.forked();
        origins.extend(self.blocked.now(self.now.ms));
        origins.insert(self.me.origin);
        origins
    }

    /// Origins that the past of an event may name without being waited for: the forked ones; and of
    /// those of which no peer that is there gives more, the ones that are withheld because of a fork,
    /// and the ones of which somebody gave what names more than it holds.
    pub fn not_awaited(&self) -> BTreeSet<Origin> {
        let peers = || self.peers.values();
        let held = &self.head.vector;
        let is_given = |origin| peers().any(|peer| peer.gives(origin, held));
        // A giver that lost its database since does not hold either what others still give. Who can
        // only push may have it behind the very event that waits for it.
        let is_to_be_had = |origin| {
            let mut peers = peers();
            peers.any(|peer| peer.is_reachable() && peer.gives(origin, held))
        };
        let orphans = peers().flat_map(|peer| peer.orphans.origins(held));
        let orphans = orphans.filter(|&origin| !is_to_be_had(origin));
        let withheld = peers().flat_map(|peer| peer.forks.withheld()).copied();
        let withheld = withheld.filter(|&origin| !is_given(origin));
        let forked = self.forked().into_iter();
        forked.chain(withheld).chain(orphans).collect()
    }

    /// Tells whether a peer has shown more than lies in `after`, of what is pulled.
    pub fn is_more_shown(&self, by: ReplicaId, after: &VersionVector) -> bool {
        let not_pulled = self.not_pulled();
        let shows_more = |peer: &Peer| !peer.wanted(after, &not_pulled).is_empty();
        self.peers.get(&by).is_some_and(shows_more)
    }

    /// Origins that the past of what was pulled from a peer may name without being waited for: that
    /// its log gives them only later shows that it took the events beside a fork. What the peer
    /// keeps back is missing for another reason.
    pub fn orphaned_in_pull(
        &self,
        from: ReplicaId,
        after: &VersionVector,
        pulled: &[RawEvent],
    ) -> BTreeSet<Origin> {
        let mut orphaned = orphans::in_pull(pulled, after);
        if let Some(peer) = self.peers.get(&from) {
            for origin in peer
                .forks
                .all()
                .chain(peer.forks.withheld().iter().copied())
            {
                orphaned.remove(&origin);
            }
        }
        orphaned
    }

    /// What is neither pushed nor served: forked origins, and our own where some peer knows more of
    /// it than we do, so that other events may come to stand under its numbers.
    fn withheld(&self) -> BTreeSet<Origin> {
        let own = self.me.origin;
        let mut origins = self.forked();
        origins.extend(self.is_known_to_have_lost(own).then_some(own));
        origins
    }

    /// Origins of which some peer and we hold different events under the same numbers: exchanged no
    /// further, and not waited for.
    pub fn forked(&self) -> BTreeSet<Origin> {
        self.peers.values().flat_map(|p| p.forks.all()).collect()
    }
}

enum Reply {
    Digest(Result<ReplicaId, Refusal>),
    Push,
}
