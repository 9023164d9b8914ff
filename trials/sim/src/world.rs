//! Replicas, clients, readers and the network between them, driven by one clock and one seed.
//!
//! The world is the shell around production code, in simulated time: an event loop over scheduled
//! happenings. The trace records everything that happens.

mod calls;
mod clients;
mod directed;
mod feeds;
mod life;
mod nemesis;
mod readers;
mod rescue;
mod steps;
mod writer;

use std::collections::BTreeMap;
use std::fmt::Write;

use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::writing::Time;

use crate::hits::{Hit, Hits};
use crate::ledger::Ledger;
use crate::net::Net;
use crate::people::People;
use crate::replica::Replica;
use crate::rng::Rng;
use crate::swarm::Swarm;
use calls::{Answer, Arriving, Open, Question, Storm};
use nemesis::Fault;

const WALL_START_MS: i64 = 1_700_000_000_000;

/// The state of a run.
pub struct World {
    pub(crate) rng: Rng,
    pub(crate) net: Net,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) people: People,
    pub(crate) ledger: Ledger,
    pub(crate) swarm: Swarm,
    /// The coverage counters.
    pub hits: Hits,
    /// The first violated invariant.
    pub violation: Option<String>,
    /// The number of event copies sent.
    pub events_sent: u64,
    /// The replica whose clone runs at the last index.
    pub(crate) cloned: Option<usize>,
    /// Whether the faults are over. Then nothing is written any more.
    pub(crate) is_healed: bool,
    trace: Option<String>,
    now_ms: u64,
    agenda: BTreeMap<(u64, u64), Happening>,
    calls: BTreeMap<u64, Open>,
    storms: BTreeMap<(usize, usize), Storm>,
    counter: u64,
    size: usize,
}

pub(crate) enum Happening {
    Wake(usize, u64),
    /// The writer's current operation ends.
    Writer(usize, u64),
    /// The file write ends.
    FileEnds(usize, u64),
    /// The writer asked to be woken.
    WriterWakes(usize, u64),
    /// The pending write becomes durable.
    Lands(usize, u64),
    Fold(usize, u64),
    RenewAgain(usize, u64, Origin),
    /// The timeout for the closed timestamps of peers ends.
    Serve(usize, u64),
    Start(usize),
    /// The process crashes in the middle of a write.
    Dies(usize, u64),
    /// An operator restarts the server.
    Restart(usize, u64),
    Arrives {
        call: Arriving,
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
    Ask(u64),
    Reader(usize),
    Client,
    /// A write by a client that can reach only this replica.
    Locals(usize),
    Nemesis,
    Harm(usize, Fault),
}

impl World {
    /// Replicas that are about to start, and their clients.
    pub fn new(seed: u64, size: usize, swarm: Option<Swarm>) -> Self {
        let mut rng = Rng::new(seed);
        let swarm = swarm.unwrap_or_else(|| Swarm::any(&mut rng));
        // One more, for a clone.
        let replicas = (0..=size).map(|at| Replica::new(number(at), 1 + at as u64));
        let mut world = Self {
            replicas: replicas.collect(),
            net: Net::open(size + 1),
            people: People::default(),
            ledger: Ledger::default(),
            hits: Hits::default(),
            violation: None,
            events_sent: 0,
            cloned: None,
            is_healed: false,
            trace: None,
            now_ms: 0,
            agenda: BTreeMap::new(),
            calls: BTreeMap::new(),
            storms: BTreeMap::new(),
            counter: 0,
            size,
            swarm,
            rng,
        };
        world.draw_setting();
        for at in 0..size {
            let in_ms = world.rng.below(200);
            world.plan(in_ms, Happening::Start(at));
        }
        world
    }

    /// Starts recording a trace.
    pub fn keep_trace(&mut self) {
        self.trace = Some(format!("{:?}\n", self.swarm));
    }

    /// The trace recorded so far.
    pub fn trace(&self) -> &str {
        self.trace.as_deref().unwrap_or_default()
    }

    /// Simulated milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The number of replicas.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Runs for a simulated duration, or until an invariant is violated.
    pub fn run_for(&mut self, ms: u64) {
        let end_ms = self.now_ms + ms;
        while self.violation.is_none()
            && let Some(entry) = self.agenda.first_entry()
            && entry.key().0 <= end_ms
        {
            let ((at_ms, _), happening) = entry.remove_entry();
            self.now_ms = at_ms;
            self.happen(happening);
        }
        self.now_ms = end_ms;
    }

    /// Records the violation of an invariant.
    pub(crate) fn violate(&mut self, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            let what = what();
            self.note(format_args!("VIOLATION {what}"));
            self.violation = Some(what);
        }
    }

    pub(crate) fn hit(&mut self, what: Hit) {
        self.hits.hit(what);
    }

    pub(crate) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        if let Some(trace) = &mut self.trace {
            writeln!(trace, "{:>6} {what}", self.now_ms).expect("a string takes all");
        }
    }

    pub(crate) fn plan(&mut self, in_ms: u64, happening: Happening) {
        self.counter += 1;
        let at = (self.now_ms + in_ms, self.counter);
        self.agenda.insert(at, happening);
    }

    /// A replica's wall clock, in milliseconds since 1970.
    pub(crate) fn wall_ms(&self, at: usize) -> u64 {
        let now_ms = i64::try_from(self.now_ms).expect("runs are short");
        let wall_ms = WALL_START_MS + now_ms + self.replicas[at].clock_off_ms;
        u64::try_from(wall_ms).expect("clocks are off by a year at most")
    }

    /// The two clocks of a replica. Events follow the wall clock up to its permitted lead over
    /// peers.
    pub(crate) fn time(&mut self, at: usize) -> Time {
        let wall_ms = self.wall_ms(at);
        let process = self.replicas[at].process.as_ref();
        let ceiling_ms = process.and_then(|process| process.ceiling_ms);
        let ceiling_ms = ceiling_ms.map_or(u64::MAX, |ceiling_ms| {
            u64::try_from(ceiling_ms)
                .unwrap_or(0)
                .saturating_add(self.now_ms)
        });
        if ceiling_ms < wall_ms {
            self.hit(Hit::ClockHeld);
        }
        Time {
            wall_ms,
            order_ms: wall_ms.min(ceiling_ms),
        }
    }

    fn happen(&mut self, happening: Happening) {
        // A paused process receives everything at once when it resumes.
        if let Some(at) = self.needs_process(&happening) {
            let until_ms = self.replicas[at].paused_until_ms;
            if until_ms > self.now_ms {
                return self.plan(until_ms - self.now_ms, happening);
            }
        }
        match happening {
            Happening::Wake(at, life) if self.is_alive(at, life) => self.wake(at),
            Happening::Writer(at, life) if self.is_alive(at, life) => self.writer_goes_on(at),
            Happening::FileEnds(at, life) if self.is_alive(at, life) => self.file_ends(at),
            Happening::WriterWakes(at, life) if self.is_alive(at, life) => self.wake_writer(at),
            Happening::Lands(at, life) if self.is_alive(at, life) => self.land(at),
            Happening::Fold(at, life) if self.is_alive(at, life) => self.fold(at),
            Happening::RenewAgain(at, life, origin) if self.is_alive(at, life) => {
                self.renew(at, origin);
            }
            Happening::Serve(at, life) if self.is_alive(at, life) => self.serve(at),
            Happening::Start(at) => self.start(at),
            Happening::Dies(at, life) if self.is_alive(at, life) && !self.is_healed => {
                self.crash(at);
                self.start_later(at);
            }
            Happening::Restart(at, life) if self.is_alive(at, life) => {
                self.crash(at);
                self.plan(1, Happening::Start(at));
            }
            Happening::Arrives {
                call,
                to,
                from,
                body,
            } => self.arrives(call, to, from, body),
            Happening::Answered { call, body } => self.ends(call, Ok(body)),
            Happening::Fails { call } => self.fails(call),
            Happening::Ask(request) => self.ask(request),
            Happening::Reader(reader) => self.read(reader),
            Happening::Client => self.client_acts(),
            Happening::Locals(at) => self.locals_act(at),
            Happening::Nemesis => self.nemesis_acts(),
            Happening::Harm(at, fault) if !self.is_healed => self.do_harm(at, fault),
            _ => {}
        }
    }

    fn needs_process(&self, happening: &Happening) -> Option<usize> {
        match *happening {
            Happening::Wake(at, _)
            | Happening::Writer(at, _)
            | Happening::FileEnds(at, _)
            | Happening::WriterWakes(at, _)
            | Happening::Fold(at, _)
            | Happening::RenewAgain(at, ..)
            | Happening::Serve(at, _)
            | Happening::Arrives { to: at, .. } => Some(at),
            Happening::Answered { call, .. } | Happening::Fails { call } => {
                self.calls.get(&call).map(|open| open.from)
            }
            _ => None,
        }
    }

    fn is_alive(&self, at: usize, life: u64) -> bool {
        let replica = &self.replicas[at];
        replica.life == life && replica.process.is_some()
    }
}

pub(crate) fn number(at: usize) -> ReplicaId {
    u16::try_from(at + 1)
        .ok()
        .and_then(ReplicaId::new)
        .expect("a small number from 1")
}
