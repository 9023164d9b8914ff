//! What we know of one peer: what it holds, whether it is there, what is under way with it.

mod calls;
mod closed;

use std::collections::BTreeSet;
use std::sync::Arc;

use causeway_domain::ids::{Dot, Origin, ReplicaId};
use causeway_domain::mutant;
use causeway_domain::version_vector::{Range, VersionVector};

use crate::alarm::Alarm;
use crate::clock::PeerClock;
use crate::failure::LinkError;
use crate::forks::Forks;
use crate::identity::Identity;
use crate::inflow::Inflow;
use crate::instance::Instance;
use crate::lag::Lag;
use crate::liveness::{Liveness, Outward, Status};
use crate::now::Now;
use crate::orphans::Orphans;
use crate::pipeline::Pipeline;
use crate::plan;
use crate::presence::{Held, PeerPresence, Report};
use crate::run::Run;
use crate::wire::{Digest, PushAnswer, Refusal};

use calls::{DigestCall, PullCall, PushCall};
use closed::ClosedReport;

/// The first wait after a pull that brought nothing.
const PULL_BACKOFF_MS: u64 = 250;
/// The longest.
const MAX_PULL_BACKOFF_MS: u64 = 5_000;
/// What we hold for longer than this, while a peer says it lacks it, is a backlog: a peer speaks
/// twice a second, and needs a moment to pull.
const LONG_MS: u64 = 750;
/// Most origins noted from pushes until the next digest: pulls ask for the rest after it.
const MOST_HINTS: usize = 10_000;
/// How long a peer that comes back or starts again is taken to pull: until it has spoken to us, and an answer has
/// shown it what there is. What is pushed to it before would travel twice (F26).
const PULLS_FIRST_MS: u64 = 1_500;

/// One peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub liveness: Liveness,
    pub identity: Identity,
    pub presence: PeerPresence,
    pub forks: Forks,
    pub orphans: Orphans,
    pub clock: PeerClock,
    pub report: ClosedReport,
    /// How far the readers of our events are behind there.
    pub lag: Lag,
    /// How fast it writes.
    pub inflow: Inflow,
    /// What it holds of our own presence.
    pub holds_of_us: Option<Held>,
    /// The refusal of ours that it was last heard with.
    pub refusal: Option<Refusal>,
    /// Why the last call to it had no secure connection.
    pub insecure: Option<String>,
    pub digest: DigestCall,
    pub push: PushCall,
    pub pull: PullCall,
    pub pipeline: Pipeline,
    n: u64,
    run: Option<Run>,
    known: Option<Arc<VersionVector>>,
    hint: VersionVector,
    is_pulling: bool,
    back_since_ms: u64,
    ahead_since_ms: Option<u64>,
    doubted: Option<Origin>,
    held_noted: VersionVector,
    held_noted_ms: u64,
    long_held: VersionVector,
}

impl Peer {
    /// A peer not heard of yet. Its first digest is due in a moment.
    pub fn unheard(now: Now) -> Self {
        Self {
            liveness: Liveness::unheard(now),
            identity: Identity::default(),
            presence: PeerPresence::default(),
            forks: Forks::default(),
            orphans: Orphans::default(),
            clock: PeerClock::default(),
            report: ClosedReport::default(),
            lag: Lag::default(),
            inflow: Inflow::default(),
            holds_of_us: None,
            refusal: None,
            insecure: None,
            digest: DigestCall {
                sent_ms: None,
                due_ms: now.ms + 1,
            },
            push: PushCall::default(),
            pull: PullCall::default(),
            pipeline: Pipeline::default(),
            n: 0,
            run: None,
            known: None,
            hint: VersionVector::default(),
            is_pulling: false,
            back_since_ms: now.ms,
            ahead_since_ms: None,
            doubted: None,
            held_noted: VersionVector::default(),
            held_noted_ms: 0,
            long_held: VersionVector::default(),
        }
    }

    /// What its newest digest or push answer said it holds; nothing before the first.
    pub fn known(&self) -> Option<&Arc<VersionVector>> {
        self.known.as_ref()
    }

    /// Lists what it has shown to hold beyond ours: what is known, and the past of what it pushed
    /// since.
    pub fn wanted(&self, held: &VersionVector, excluded: &BTreeSet<Origin>) -> Vec<Range> {
        let known = self.known.as_deref().unwrap_or(&self.hint);
        let mut wanted = if self.hint.is_empty() {
            plan::wanted(held, known, excluded)
        } else {
            let mut shown = known.clone();
            shown.merge(&self.hint);
            plan::wanted(held, &shown, excluded)
        };
        wanted.retain(|range| !self.forks.withheld().contains(&range.origin));
        wanted
    }

    /// Whether everything that it has shown is held. What a fork keeps from us is not waited for.
    pub fn has_shown_nothing_beyond(&self, held: &VersionVector) -> bool {
        let Some(known) = &self.known else {
            return false;
        };
        let kept_back = self.forks.all().collect::<Vec<_>>();
        let kept_back = kept_back.iter().chain(self.forks.withheld());
        plan::masked(held, kept_back).covers_all(known)
    }

    /// Tells whether it holds more of an origin than we do, and can be expected to give it.
    pub fn gives(&self, origin: Origin, held: &VersionVector) -> bool {
        let shows_more = |known: &Arc<VersionVector>| known.get(origin) > held.get(origin);
        self.liveness.status != Status::Down
            && self.known.as_ref().is_some_and(shows_more)
            && !self.forks.withheld().contains(&origin)
    }

    /// Takes in why a call to it failed; returns the alarm where that is news.
    pub fn fails_with(&mut self, id: ReplicaId, error: LinkError) -> Option<Alarm> {
        match error {
            LinkError::Refused(reason) if self.refusal.as_ref() != Some(&reason) => {
                self.refusal = Some(reason.clone());
                Some(Alarm::RefusedBy { peer: id, reason })
            }
            LinkError::Insecure(why) if self.insecure.as_ref() != Some(&why) => {
                self.insecure = Some(why.clone());
                Some(Alarm::Insecure { peer: id, why })
            }
            _ => None,
        }
    }

    /// Takes in that it speaks; tells whether it was away.
    pub fn hear(&mut self, now: Now) -> bool {
        let was_away = self.liveness.hear(now);
        if was_away {
            self.back_since_ms = now.ms;
        }
        was_away
    }

    /// Another process speaks for it now: what the former one said about itself is void.
    pub fn begin_instance(&mut self, now: Now) {
        self.n = 0;
        self.back_since_ms = now.ms;
        self.pull.due_ms = Some(now.ms);
        self.pull.not_before_ms = 0;
        self.pull.backoff_ms = 0;
        self.orphans = Orphans::default();
        self.inflow = Inflow::default();
        self.presence.clear();
        self.holds_of_us = None;
    }

    /// Tells whether this is newer than all it has said; what is older is to be ignored.
    pub fn is_news(&mut self, n: u64) -> bool {
        let is_news = self.is_newer(n);
        self.n = self.n.max(n);
        is_news
    }

    fn is_newer(&self, n: u64) -> bool {
        mutant!(OldIsIgnored => true);
        n > self.n
    }

    /// As what it runs; nothing before its first digest.
    pub fn run(&self) -> Option<Run> {
        self.run
    }

    /// Takes in what a digest says it holds. What was known before is replaced, never merged.
    pub fn learn_vector(&mut self, now: Now, own: Origin, held: &VersionVector, digest: &Digest) {
        self.run = Some(Run::of(digest, now, self.run));
        let known = self.known_after(digest);
        self.hint = VersionVector::default();
        self.is_pulling = digest.pulling || now.ms < self.back_since_ms + PULLS_FIRST_MS;
        if now.ms >= self.held_noted_ms + LONG_MS {
            self.held_noted_ms = now.ms;
            self.long_held = std::mem::replace(&mut self.held_noted, held.clone());
        }
        if !self.push.is_under_way {
            self.push.is_in_step = plan::is_in_step(own, held, &known, self.is_pulling);
        }
        self.push.is_stalled = false;
        self.orphans.compare(now.ms, &known);
        let origin = Origin {
            replica: digest.replica,
            epoch: digest.epoch,
        };
        self.inflow.wrote(now.ms, known.get(origin));
        self.known = Some(Arc::new(known));
    }

    /// What it is known to hold after a digest: what that says, and nothing that was known before.
    fn known_after(&self, digest: &Digest) -> VersionVector {
        mutant!(KnownIsReplaced => {
            let mut merged = digest.held();
            merged.merge(self.known.as_deref().unwrap_or(&self.hint));
            merged
        });
        digest.held()
    }

    /// Applies its presence report. Returns whether it holds more of ours than before.
    pub fn learn_presence(&mut self, instance: Instance, report: Report) -> bool {
        let former = std::mem::replace(&mut self.holds_of_us, report.held);
        self.presence.absorb(instance, report);
        former != self.holds_of_us && self.holds_of_us.is_some()
    }

    /// Takes in the answer to a push.
    pub fn learn_push(&mut self, now: Now, sent: &VersionVector, answer: PushAnswer) {
        self.push.is_in_step = answer.vector.covers_all(sent);
        let has_learned = self
            .known
            .as_ref()
            .is_none_or(|known| !known.covers_all(&answer.vector));
        self.push.is_stalled = !self.push.is_in_step && !has_learned;
        if self.identity.current() != Some(answer.instance) {
            // Another process than the one that spoke last: what it holds is known, and may be
            // pushed beyond, only once it has spoken as the peer.
            self.push.is_stalled = true;
            self.digest.due_ms = now.ms;
        } else if self.is_news(answer.n) {
            self.known = Some(Arc::new(answer.vector));
        }
    }

    /// Gives up the push and the pull under way: they began before the link was lost, and may hang
    /// in it until they time out.
    pub fn give_up_bulk(&mut self) {
        self.push.is_under_way = false;
        self.pull.is_under_way = false;
        self.pull.backoff_ms = 0;
        self.pull.not_before_ms = 0;
    }

    /// A push came to nothing: the next one waits until the peer speaks.
    pub fn push_failed(&mut self) {
        self.push.is_in_step = false;
        self.push.is_stalled = true;
    }

    /// Takes in what must come before the events it pushed: it holds that too.
    pub fn learn_missing(&mut self, now: Now, missing: &[Range]) {
        self.orphans.miss(now.ms, missing);
        if self.hint.len() < MOST_HINTS {
            self.hint
                .merge(&missing.iter().map(|r| (r.origin, r.last)).collect());
        }
        self.pull.due_ms = Some(now.ms);
    }

    /// Plans a push to it.
    pub fn plan_push(
        &self,
        own: Origin,
        held: &VersionVector,
        excluded: &BTreeSet<Origin>,
    ) -> Option<plan::Push> {
        let known = self.known.as_deref()?;
        if self.push.is_under_way || !self.is_reachable() {
            return None;
        }
        let peer = plan::PushState {
            known,
            long_held: &self.long_held,
            is_pulling: self.is_pulling,
            is_in_step: self.push.is_in_step,
            is_stalled: self.push.waits(),
        };
        let withheld = self.forks.withheld();
        if withheld.is_empty() {
            return plan::push(own, held, excluded, peer);
        }
        let excluded = excluded.union(withheld).copied().collect();
        plan::push(own, held, &excluded, peer)
    }

    /// Tells whether it was heard of lately and answers.
    pub fn is_reachable(&self) -> bool {
        self.liveness.status != Status::Down && self.liveness.out == Outward::Ok
    }

    /// Returns the highest of our own events that it holds when we do not, and that is both news
    /// and certain: a pull may be faster than the commit signal, but not by this much.
    pub fn find_unknown_own_events(
        &mut self,
        now: Now,
        own: Origin,
        held: &VersionVector,
    ) -> Option<Dot> {
        let shown = self.known.as_ref()?.get(own);
        if shown <= held.get(own) {
            self.ahead_since_ms = None;
            return None;
        }
        let since_ms = *self.ahead_since_ms.get_or_insert(now.ms);
        let is_certain = now.ms >= since_ms + LONG_MS;
        let shown = Dot {
            origin: own,
            seq: shown,
        };
        (is_certain && self.doubt(shown)).then_some(shown)
    }

    /// Notes that it knows an event of ours that we do not; tells whether that is news.
    pub fn doubt(&mut self, ours: Dot) -> bool {
        self.doubted.replace(ours.origin) != Some(ours.origin)
    }

    /// Tells whether it is known to hold more of our own origin than we do.
    pub fn knows_more_of(&self, own: Origin) -> bool {
        self.doubted == Some(own)
    }

    /// Sets when to pull what is wanted of it: at once or after a grace.
    pub fn want(&mut self, now: Now, wanted: &[Range], is_urgent: bool) {
        if wanted.is_empty() {
            self.pull.due_ms = None;
            return;
        }
        if is_urgent || plan::count(wanted) > plan::BULK_EVENTS {
            self.pull.due_ms = Some(now.ms);
        }
        self.pull.due_ms.get_or_insert(now.ms + plan::PULL_GRACE_MS);
    }

    /// Tells whether a pull from it may start now.
    pub fn is_pull_due(&self, now: Now) -> bool {
        !self.pull.is_under_way
            && self.liveness.out == Outward::Ok
            && self.next_pull_ms().is_some_and(|due| due <= now.ms)
    }

    /// When the next pull from it may start.
    pub fn next_pull_ms(&self) -> Option<u64> {
        self.pull.due_ms.map(|due| due.max(self.pull.not_before_ms))
    }

    /// A pull brought something: go on at once.
    pub fn pull_succeeded(&mut self, now: Now) {
        self.pull.backoff_ms = 0;
        self.pull.not_before_ms = 0;
        self.pull.due_ms = Some(now.ms);
    }

    /// A pull brought nothing: wait, longer each time.
    pub fn pull_failed(&mut self, now: Now) {
        let longer = (self.pull.backoff_ms * 2).clamp(PULL_BACKOFF_MS, MAX_PULL_BACKOFF_MS);
        self.pull.backoff_ms = longer;
        self.pull.not_before_ms = now.ms + longer;
    }
}

#[cfg(test)]
mod tests;
