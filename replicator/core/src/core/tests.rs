//! Given what peers said, when something happens, then this is done.

mod alarms;
mod callers;
mod early;
mod forks;
mod hanging;
mod not_awaited;
mod own_events;
mod prefetching;
mod pulls;
mod pushes;
mod telling;

use std::collections::BTreeSet;

use causeway_domain::chain::Hash;
use causeway_domain::envelope::RawEvent;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Dot, Epoch, Origin};
use causeway_domain::names::UserId;
use causeway_domain::version_vector::{Range, VersionVector};
use causeway_domain::writing::Absorbed;

use crate::failure::{LinkError, StoreFailure};
use crate::forks::FAR;
use crate::instance::Instance;
use crate::liveness::Status;
use crate::orphans::tests::event;
use crate::pipeline::{Pull, Stage};
use crate::presence::Report;
use crate::wire::events::Decoded;
use crate::wire::{Caller, Digest, PROTOCOL, PushAnswer};

use super::*;

const NOBODY: [u16; 0] = [];
const NO_FORK: [(u16, u16); 0] = [];

/// Replica 1, and what it was told.
struct Given {
    core: Core,
    now: Now,
    offset: i64,
    tickets: u64,
}

impl Given {
    fn peers(highest: u16) -> Self {
        let me = Me {
            origin: origin(1),
            instance: Instance(1),
            cluster: "c".into(),
            peers: (2..=highest).map(id).collect(),
            protocol: PROTOCOL,
        };
        let mut core = Core::new(Now::default(), me, head(&[], 0, 0));
        let now = Now { ms: 1, wall_ms: 1 };
        core.step(now, Input::Tick { random: 0 });
        Self {
            core,
            now,
            offset: 0,
            tickets: 0,
        }
    }

    fn step(&mut self, input: Input) -> Vec<Output> {
        self.core.step(self.now, input)
    }

    fn at(&mut self, ms_later: u64) -> Vec<Output> {
        self.now.ms += ms_later;
        self.step(Input::Tick { random: 0 })
    }

    fn called(&mut self, digest: Digest) -> Vec<Output> {
        self.step(Input::DigestCalled(Box::new(digest)))
    }

    fn answered(&mut self, digest: Digest) -> Vec<Output> {
        self.answered_as(digest.replica.get(), digest)
    }

    /// Nobody answers a digest.
    fn fails(&mut self, peer: u16) -> Vec<Output> {
        self.step(Input::DigestDone {
            peer: id(peer),
            result: Err(LinkError::Unreachable),
        })
    }

    fn answered_as(&mut self, peer: u16, digest: Digest) -> Vec<Output> {
        let result = Ok(Box::new(digest));
        self.step(Input::DigestDone {
            peer: id(peer),
            result,
        })
    }

    fn holds(&mut self, held: &[(u16, u64)]) -> Vec<Output> {
        self.holds_with_floor(held, 0)
    }

    fn holds_with_floor(&mut self, held: &[(u16, u64)], floor_ms: u64) -> Vec<Output> {
        self.offset += 1;
        self.step(Input::Committed(head(held, floor_ms, self.offset)))
    }

    /// The pull from a peer brings so many events, and all of them are stored.
    fn pulled(&mut self, peer: u16, stored: usize) -> Vec<Output> {
        let absorbed = Absorbed {
            stored,
            ..Absorbed::default()
        };
        self.pull_is_stored(peer, absorbed)
    }

    /// The pull from a peer brings an event that waits for these.
    fn stuck(&mut self, peer: u16, missing: &[Range]) -> Vec<Output> {
        let absorbed = Absorbed {
            missing: missing.to_vec(),
            ..Absorbed::default()
        };
        self.pull_is_stored(peer, absorbed)
    }

    fn pull_is_stored(&mut self, peer: u16, absorbed: Absorbed) -> Vec<Output> {
        let after = &self.pull_from(peer).after;
        let wanted = self.core.peers[&id(peer)].wanted(after, &BTreeSet::new());
        let dots = wanted.iter().flat_map(|range| {
            let seqs = range.first..=range.last;
            seqs.map(|seq| (range.origin.replica.get(), seq))
        });
        let events: Vec<_> = dots
            .chain([(peer, 1)])
            .take(absorbed.stored.max(1))
            .map(|(replica, seq)| event(replica, seq, &[]))
            .collect();
        let mut outputs = self.batch_comes(peer, events);
        outputs.extend(self.stored(absorbed));
        outputs
    }

    fn pull_from(&self, peer: u16) -> &Pull {
        let pipeline = &self.core.peers[&id(peer)].pipeline;
        pipeline.pull.as_ref().expect("a pull")
    }

    fn batch_comes(&mut self, peer: u16, events: Vec<RawEvent>) -> Vec<Output> {
        let Stage::Asking { call, .. } = self.pull_from(peer).stage else {
            panic!("a batch is asked for");
        };
        self.call_ends(peer, call, Ok(events))
    }

    fn call_ends(
        &mut self,
        peer: u16,
        call: u64,
        result: Result<Vec<RawEvent>, LinkError>,
    ) -> Vec<Output> {
        self.step(Input::PullDone {
            peer: id(peer),
            call,
            result: result.map(|events| Decoded { events, flawed: 0 }),
        })
    }

    fn stored(&mut self, absorbed: Absorbed) -> Vec<Output> {
        self.store_ends(Ok(absorbed))
    }

    /// What the log was given last is stored, or not.
    fn store_ends(&mut self, result: Result<Absorbed, StoreFailure>) -> Vec<Output> {
        let last = self.core.stores.last_key_value();
        let (&store, _) = last.expect("something to store");
        self.step(Input::StoreDone { store, result })
    }

    fn is_renewed(&mut self, held: &[(u16, u64)]) {
        self.offset += 1;
        let mut renewed = (*head(held, 0, self.offset)).clone();
        renewed.origin.epoch = Epoch(99);
        self.step(Input::Committed(Arc::new(renewed)));
    }

    /// A peer pushes, and the log makes this of it; nothing waits.
    fn push_called(&mut self, from: u16, absorbed: Absorbed) -> Vec<Output> {
        self.pushes(from, vec![]);
        self.stored(absorbed)
    }

    fn pushes(&mut self, from: u16, events: Vec<RawEvent>) -> Vec<Output> {
        self.tickets += 1;
        self.step(Input::PushCalled {
            from: id(from),
            ticket: self.tickets,
            events,
        })
    }

    fn pushed(
        &mut self,
        peer: u16,
        n: u64,
        sent: &[(u16, u64)],
        held: &[(u16, u64)],
    ) -> Vec<Output> {
        let answer = PushAnswer {
            instance: instance(peer),
            n,
            vector: vector(held),
        };
        self.step(Input::PushDone {
            peer: id(peer),
            sent: vector(sent),
            result: Ok(answer),
        })
    }

    fn known(&self, peer: u16) -> VersionVector {
        let held = &self.core.knowledge().peers[&id(peer)].held;
        (**held.as_ref().unwrap()).clone()
    }

    fn settled_ms(&self) -> u64 {
        self.core.knowledge().settled_ts.ms()
    }

    fn online(&self) -> Vec<String> {
        let peers = self.core.knowledge().peers;
        let online = peers.keys().flat_map(|&peer| self.core.online_at(peer));
        online.map(|user| user.name.clone()).collect()
    }
}

fn digest(replica: u16, n: u64, held: &[(u16, u64)]) -> Digest {
    Digest {
        replica: id(replica),
        epoch: Epoch(0),
        instance: instance(replica),
        n,
        cluster: "c".into(),
        protocol: PROTOCOL,
        vector: held
            .iter()
            .map(|&(o, seq)| (origin(o), (seq, chain(o, seq))))
            .collect(),
        closed_ts: Hlc::default(),
        wall: 0,
        presence: Report::default(),
        lag_ms: 0,
        pulling: false,
        forked: BTreeSet::new(),
        withheld: BTreeSet::new(),
        rumours: BTreeMap::new(),
    }
}

/// The same from a peer that holds this version of our presence.
fn told(mut digest: Digest, version: u64) -> Digest {
    digest.presence.held = Some(crate::presence::Held {
        instance: Instance(1),
        version,
    });
    digest
}

fn head(held: &[(u16, u64)], floor_ms: u64, offset: i64) -> Arc<Head> {
    let hashes: BTreeMap<_, _> = held
        .iter()
        .map(|&(o, seq)| (origin(o), chain(o, seq)))
        .collect();
    Arc::new(Head {
        origin: origin(1),
        vector: vector(held),
        hashes,
        closed_ts: Hlc::at_ms(floor_ms),
        highest: Hlc::default(),
        offset,
    })
}

fn chain(origin: u16, seq: u64) -> Hash {
    Hash::START
        .then(&origin.to_be_bytes())
        .then(&seq.to_be_bytes())
}

fn vector(pairs: &[(u16, u64)]) -> VersionVector {
    pairs.iter().map(|&(o, seq)| (origin(o), seq)).collect()
}

fn dot(replica: u16, seq: u64) -> Dot {
    Dot {
        origin: origin(replica),
        seq,
    }
}

fn origin(replica: u16) -> Origin {
    Origin {
        replica: id(replica),
        epoch: Epoch(0),
    }
}

fn id(replica: u16) -> ReplicaId {
    ReplicaId::new(replica).unwrap()
}

fn instance(replica: u16) -> Instance {
    Instance(u64::from(replica))
}

fn online(name: &str) -> Online {
    Online {
        group: "lobby".into(),
        id: UserId(name.into()),
        name: name.into(),
    }
}

fn answer(outputs: &[Output]) -> Digest {
    let answer = |output: &Output| match output {
        Output::Answer(Ok(digest)) => Some((**digest).clone()),
        _ => None,
    };
    outputs.iter().find_map(answer).expect("an answer")
}

/// Beyond what the one pull among these asks.
fn after(outputs: &[Output]) -> VersionVector {
    let asked = outputs.iter().find_map(|output| match output {
        Output::Pull { after, .. } => Some(after.clone()),
        _ => None,
    });
    asked.expect("a pull")
}

fn range(replica: u16, first: u64, last: u64) -> Range {
    Range {
        origin: origin(replica),
        first,
        last,
    }
}

fn pulls(outputs: &[Output]) -> Vec<u16> {
    let from = |output: &Output| match output {
        Output::Pull { from, .. } => Some(from.get()),
        _ => None,
    };
    outputs.iter().filter_map(from).collect()
}

fn pushes(outputs: &[Output]) -> Vec<u16> {
    let to = |output: &Output| match output {
        Output::Push { to, .. } => Some(to.get()),
        _ => None,
    };
    outputs.iter().filter_map(to).collect()
}

fn forks(outputs: &[Output]) -> Vec<(u16, u16)> {
    let fork = |output: &Output| match output {
        Output::Alarm(Alarm::Fork { peer, origin }) => Some((peer.get(), origin.replica.get())),
        _ => None,
    };
    outputs.iter().filter_map(fork).collect()
}

fn lookups(outputs: &[Output]) -> usize {
    let is_lookup = |output: &&Output| matches!(output, Output::ReadHash { .. });
    outputs.iter().filter(is_lookup).count()
}
