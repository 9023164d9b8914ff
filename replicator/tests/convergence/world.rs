//! Five cores, their logs, and everything between them, on one clock and one seed.
//!
//! The world is the shell: it does for a core what `driver` does, in simulated time. Everything it
//! does is written to the trace.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::mem::discriminant;
use std::rc::Rc;

use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Epoch, Origin, ReplicaId};
use causeway_domain::names::UserId;
use causeway_domain::stamp::Dot;
use causeway_domain::version_vector::VersionVector;
use causeway_replicator::core::{Alarm, CallFailure, Core, Input, Me, Now, Output, Taken};
use causeway_replicator::link::LinkError;
use causeway_replicator::presence::Online;
use causeway_replicator::wire::events::BATCH_EVENTS;
use causeway_replicator::wire::{Caller, Digest, Instance, PROTOCOL, PushAnswer, Refusal};

use crate::log::{Event, Log};
use crate::net::{Net, Way};
use crate::rng::Rng;

const WALL_START_MS: u64 = 1_700_000_000_000;
const DIGEST_TIMEOUT_MS: u64 = 2_000;
const BULK_TIMEOUT_MS: u64 = 5_000;
const EARLY_PATIENCE_MS: u64 = 250;
const BELL_MS: u64 = 500;

/// A run.
pub struct World {
    pub rng: Rng,
    pub net: Net,
    pub replicas: Vec<Replica>,
    /// Everything that happened, where it is wanted.
    pub trace: Option<String>,
    pub alarms: Vec<(ReplicaId, Alarm)>,
    /// Copies of events that were put on a wire.
    pub events_sent: u64,
    now_ms: u64,
    agenda: BTreeMap<(u64, u64), Happening>,
    calls: BTreeMap<u64, Open>,
    counter: u64,
}

/// One replica of the world.
pub struct Replica {
    pub id: ReplicaId,
    pub core: Core,
    pub log: Log,
    pub online: Vec<Online>,
    instance: Instance,
    parked: Vec<Parked>,
    settled: Hlc,
}

/// A push that waits for events that must come first.
struct Parked {
    call: u64,
    from: usize,
    events: Vec<Rc<Event>>,
    stored: usize,
    until_ms: u64,
}

enum Happening {
    Wake(usize),
    Bell(usize),
    Patience(usize),
    Arrives {
        call: u64,
        to: usize,
        from: usize,
        body: Question,
    },
    Answered {
        call: u64,
        body: Answer,
    },
    Fails {
        call: u64,
    },
}

#[derive(Clone)]
enum Question {
    Digest(Box<Digest>),
    Push(Caller, Vec<Rc<Event>>),
    Pull(Caller, VersionVector),
}

enum Answer {
    Refused(Refusal),
    Digest(Box<Digest>),
    Push(PushAnswer),
    Pull(Vec<Rc<Event>>),
}

/// A call that has not ended yet for its caller.
struct Open {
    from: usize,
    to: usize,
    kind: Kind,
}

enum Kind {
    Digest,
    Push { sent: VersionVector },
    Pull,
}

impl World {
    pub fn new(seed: u64, size: usize) -> Self {
        let mut rng = Rng::new(seed);
        let ids: Vec<_> = (1..=size).map(id).collect();
        let replicas = ids.iter().map(|&id| Replica::new(id, &ids, rng.next()));
        let mut world = Self {
            replicas: replicas.collect(),
            net: Net::open(size),
            rng,
            trace: None,
            alarms: Vec::new(),
            events_sent: 0,
            now_ms: 0,
            agenda: BTreeMap::new(),
            calls: BTreeMap::new(),
            counter: 0,
        };
        for at in 0..size {
            world.plan(1, Happening::Wake(at));
            let bell_ms = world.rng.below(BELL_MS);
            world.plan(bell_ms, Happening::Bell(at));
        }
        world
    }

    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Lets time pass.
    pub fn run_for(&mut self, ms: u64) {
        let end_ms = self.now_ms + ms;
        while let Some(entry) = self.agenda.first_entry() {
            if entry.key().0 > end_ms {
                break;
            }
            let ((at_ms, _), happening) = entry.remove_entry();
            self.now_ms = at_ms;
            self.happen(happening);
        }
        self.now_ms = end_ms;
    }

    /// Lets time pass until all hold the same; returns how long that took, or nothing after
    /// `limit_ms`.
    pub fn run_until_agreed(&mut self, limit_ms: u64) -> Option<u64> {
        let start_ms = self.now_ms;
        while !self.is_agreed() {
            if self.now_ms - start_ms > limit_ms {
                return None;
            }
            self.run_for(50);
        }
        Some(self.now_ms - start_ms)
    }

    pub fn is_agreed(&self) -> bool {
        let first = self.replicas[0].log.head();
        let rest = &self.replicas[1..];
        rest.iter().all(|r| r.log.head().vector == first.vector)
    }

    /// A user posts at a replica.
    pub fn write(&mut self, at: usize) {
        let content = self.rng.next();
        let wall_ms = self.wall_ms();
        let replica = &mut self.replicas[at];
        replica.log.write(wall_ms, content);
        let dot = replica
            .log
            .events()
            .last()
            .expect("just written")
            .stamp
            .dot();
        self.note(format_args!("{} writes {dot}", at + 1));
        self.committed(at, replica_len(&self.replicas[at]) - 1);
    }

    /// A user comes to or goes from a group at a replica.
    pub fn flip_presence(&mut self, at: usize) {
        let user = self.rng.below(6);
        let online = Online {
            group: format!("group{}", user % 2),
            id: UserId(format!("user{user}")),
            name: format!("user{user}"),
        };
        let list = &mut self.replicas[at].online;
        let (mut came, mut went) = (Vec::new(), Vec::new());
        if let Some(index) = list.iter().position(|known| *known == online) {
            went.push(list.remove(index));
        } else {
            list.push(online.clone());
            came.push(online);
        }
        self.step(at, Input::Presence { came, went });
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Wake(at) => self.wake(at),
            Happening::Bell(at) => {
                let wall_ms = self.wall_ms();
                self.replicas[at].log.raise_floor(wall_ms);
                let head = self.replicas[at].log.head();
                self.step(at, Input::Committed(head));
                self.plan(BELL_MS, Happening::Bell(at));
            }
            Happening::Patience(at) => self.unpark(at),
            Happening::Arrives {
                call,
                to,
                from,
                body,
            } => self.arrives(call, to, from, body),
            Happening::Answered { call, body } => self.answered(call, body),
            Happening::Fails { call } => self.ends(call, Err(LinkError::Unreachable)),
        }
    }

    fn wake(&mut self, at: usize) {
        let wake_ms = self.replicas[at].core.next_wake();
        if wake_ms <= self.now_ms {
            let random = self.rng.next();
            self.step(at, Input::Tick { random });
        }
    }

    fn step(&mut self, at: usize, input: Input) -> Vec<Output> {
        let now = Now {
            ms: self.now_ms,
            wall_ms: i64::try_from(self.wall_ms()).expect("a small number"),
        };
        let replica = &mut self.replicas[at];
        let revision = replica.core.revision();
        let outputs = replica.core.step(now, input);
        if replica.core.revision() != revision {
            let settled = replica.core.knowledge().settled_floor;
            replica.settled = replica.settled.max(settled);
        }
        let mut answers = Vec::new();
        for output in outputs {
            self.note(format_args!("{} {output:?}", at + 1));
            match output {
                Output::Digest { to, digest } => {
                    self.call(at, to, Question::Digest(digest), Kind::Digest);
                }
                Output::Push { to, push } => {
                    let mut events = self.replicas[at].log.read_beyond(&push.after, BATCH_EVENTS);
                    events.retain(|e| push.only.is_none_or(|only| only == e.stamp.origin));
                    assert!(!events.is_empty(), "a push of nothing was planned");
                    let mut sent = VersionVector::default();
                    for event in &events {
                        sent.record(event.stamp.dot());
                    }
                    let caller = self.replicas[at].caller();
                    self.call(at, to, Question::Push(caller, events), Kind::Push { sent });
                }
                Output::Pull { from, after } => {
                    let caller = self.replicas[at].caller();
                    self.call(at, from, Question::Pull(caller, after), Kind::Pull);
                }
                Output::ReadHash {
                    peer,
                    origin,
                    seq,
                    theirs,
                } => {
                    let ours = self.replicas[at].log.hash_at(origin, seq);
                    let read = Input::HashRead {
                        peer,
                        origin,
                        seq,
                        theirs,
                        ours,
                    };
                    answers.extend(self.step(at, read));
                }
                Output::Alarm(alarm) => self.alarms.push((self.replicas[at].id, alarm)),
                answer => answers.push(answer),
            }
        }
        let wake_ms = self.replicas[at].core.next_wake();
        self.plan(wake_ms.saturating_sub(self.now_ms), Happening::Wake(at));
        answers
    }

    fn call(&mut self, from: usize, to: ReplicaId, body: Question, kind: Kind) {
        let to = usize::from(to.get()) - 1;
        self.counter += 1;
        let call = self.counter;
        let timeout_ms = match kind {
            Kind::Digest => DIGEST_TIMEOUT_MS,
            _ => BULK_TIMEOUT_MS,
        };
        // A new call takes the place of one of its kind.
        let is_former = |open: &Open| {
            (open.from, open.to) == (from, to) && discriminant(&open.kind) == discriminant(&kind)
        };
        self.calls.retain(|_, open| !is_former(open));
        self.calls.insert(call, Open { from, to, kind });
        let way = self.net.way(from, to);
        if way == Way::Cut {
            self.plan(1, Happening::Fails { call });
            return;
        }
        self.plan(timeout_ms, Happening::Fails { call });
        let weather = self.net.weather;
        if way == Way::BlackHole || self.rng.permille(weather.loss_permille) {
            return;
        }
        if let Question::Push(_, events) = &body {
            self.events_sent += events.len() as u64;
        }
        if self.rng.permille(weather.repeat_permille) {
            let again = Happening::Arrives {
                call,
                to,
                from,
                body: body.clone(),
            };
            let delay_ms = weather.delay(&mut self.rng);
            self.plan(delay_ms, again);
        }
        let delay_ms = weather.delay(&mut self.rng);
        self.plan(
            delay_ms,
            Happening::Arrives {
                call,
                to,
                from,
                body,
            },
        );
    }

    fn arrives(&mut self, call: u64, to: usize, from: usize, body: Question) {
        let refused = match &body {
            Question::Digest(_) => None,
            Question::Push(caller, _) | Question::Pull(caller, _) => {
                self.replicas[to].core.admit(caller).err()
            }
        };
        if let Some(refusal) = refused {
            return self.answer(call, from, to, Answer::Refused(refusal));
        }
        match body {
            Question::Digest(digest) => {
                let answers = self.step(to, Input::DigestCalled(digest));
                let answer = answers.into_iter().find_map(|answer| match answer {
                    Output::Answer(Ok(digest)) => Some(Answer::Digest(digest)),
                    Output::Answer(Err(refusal)) => Some(Answer::Refused(refusal)),
                    _ => None,
                });
                self.answer(call, from, to, answer.expect("every digest is answered"));
            }
            Question::Push(_, events) => {
                let until_ms = self.now_ms + EARLY_PATIENCE_MS;
                let parked = Parked {
                    call,
                    from,
                    events,
                    stored: 0,
                    until_ms,
                };
                self.replicas[to].parked.push(parked);
                self.plan(EARLY_PATIENCE_MS, Happening::Patience(to));
                self.unpark(to);
            }
            Question::Pull(_, after) => {
                let after = self.replicas[to].core.servable_after(&after);
                let events = self.replicas[to].log.read_beyond(&after, BATCH_EVENTS);
                self.events_sent += events.len() as u64;
                self.answer(call, from, to, Answer::Pull(events));
            }
        }
    }

    /// Takes in what is parked, as far as its past has come; answers what is done or too old.
    fn unpark(&mut self, at: usize) {
        for mut parked in std::mem::take(&mut self.replicas[at].parked) {
            let mut taken = self.absorb(at, &parked.events);
            parked.stored += taken.stored;
            taken.stored = parked.stored;
            if !taken.missing.is_empty() && self.now_ms < parked.until_ms {
                self.replicas[at].parked.push(parked);
                continue;
            }
            let from = self.replicas[parked.from].id;
            let called = Input::PushCalled {
                from,
                absorbed: taken,
            };
            let answers = self.step(at, called);
            for answer in answers {
                if let Output::PushAnswer(answer) = answer {
                    self.answer(parked.call, parked.from, at, Answer::Push(answer));
                }
            }
        }
    }

    fn answer(&mut self, call: u64, from: usize, to: usize, body: Answer) {
        let weather = self.net.weather;
        let is_lost =
            self.net.way(from, to) != Way::Open || self.rng.permille(weather.loss_permille);
        if !is_lost {
            let delay_ms = weather.delay(&mut self.rng);
            self.plan(delay_ms, Happening::Answered { call, body });
        }
    }

    fn answered(&mut self, call: u64, body: Answer) {
        self.ends(call, Ok(body));
    }

    /// A call ends for its caller, once: what comes later is dropped.
    fn ends(&mut self, call: u64, result: Result<Answer, LinkError>) {
        let Some(Open { from, to, kind }) = self.calls.remove(&call) else {
            return;
        };
        let peer = self.replicas[to].id;
        let result = match result {
            Ok(Answer::Refused(refusal)) => Err(LinkError::Refused(refusal)),
            other => other,
        };
        let input = match (kind, result) {
            (Kind::Digest, Ok(Answer::Digest(digest))) => Input::DigestDone {
                peer,
                result: Ok(digest),
            },
            (Kind::Digest, Err(error)) => Input::DigestDone {
                peer,
                result: Err(error),
            },
            (Kind::Push { sent }, Ok(Answer::Push(answer))) => Input::PushDone {
                peer,
                sent,
                result: Ok(answer),
            },
            (Kind::Push { sent }, Err(error)) => Input::PushDone {
                peer,
                sent,
                result: Err(CallFailure::Link(error)),
            },
            (Kind::Pull, Ok(Answer::Pull(events))) => {
                let taken = self.absorb(from, &events);
                Input::PullDone {
                    peer,
                    result: Ok(taken),
                }
            }
            (Kind::Pull, Err(error)) => Input::PullDone {
                peer,
                result: Err(CallFailure::Link(error)),
            },
            _ => unreachable!("an answer of another kind"),
        };
        self.step(from, input);
    }

    fn absorb(&mut self, at: usize, events: &[Rc<Event>]) -> Taken {
        let before = replica_len(&self.replicas[at]);
        let taken = self.replicas[at].log.absorb(events);
        if taken.stored > 0 {
            self.note(format_args!("{} stores {}", at + 1, taken.stored));
            self.committed(at, before);
        }
        taken
    }

    /// The log of a replica grew: the bell rings, and what waited for it goes on.
    fn committed(&mut self, at: usize, before: usize) {
        let replica = &self.replicas[at];
        for event in &replica.log.events()[before..] {
            let (hlc, dot) = (event.stamp.hlc, event.stamp.dot());
            let settled = replica.settled;
            assert!(
                hlc > settled,
                "{dot} came to {} below what was settled",
                at + 1
            );
        }
        let head = replica.log.head();
        self.step(at, Input::Committed(head));
        if !self.replicas[at].parked.is_empty() {
            self.plan(0, Happening::Patience(at));
        }
    }

    fn plan(&mut self, in_ms: u64, happening: Happening) {
        self.counter += 1;
        self.agenda
            .insert((self.now_ms + in_ms, self.counter), happening);
    }

    fn wall_ms(&self) -> u64 {
        WALL_START_MS + self.now_ms
    }

    pub fn note(&mut self, what: std::fmt::Arguments<'_>) {
        if let Some(trace) = &mut self.trace {
            writeln!(trace, "{} {what}", self.now_ms).expect("a string takes all");
        }
    }
}

impl Replica {
    fn new(id: ReplicaId, all: &[ReplicaId], random: u64) -> Self {
        let origin = Origin {
            replica: id,
            epoch: Epoch(u32::try_from(random >> 32).expect("32 bits")),
        };
        let me = Me {
            origin,
            instance: Instance(random),
            cluster: "simulated".into(),
            peers: all.iter().copied().filter(|&other| other != id).collect(),
            protocol: PROTOCOL,
        };
        let log = Log::new(origin);
        Self {
            id,
            instance: me.instance,
            core: Core::new(Now::default(), me, log.head()),
            log,
            online: Vec::new(),
            parked: Vec::new(),
            settled: Hlc::default(),
        }
    }

    fn caller(&self) -> Caller {
        Caller {
            cluster: "simulated".into(),
            replica: self.id,
            instance: self.instance,
        }
    }

    pub fn settled(&self) -> Hlc {
        self.settled
    }

    pub fn holds(&self, dot: Dot) -> bool {
        self.log.head().vector.covers(dot)
    }
}

fn replica_len(replica: &Replica) -> usize {
    replica.log.events().len()
}

fn id(number: usize) -> ReplicaId {
    u16::try_from(number)
        .ok()
        .and_then(ReplicaId::new)
        .expect("a small number from 1")
}
