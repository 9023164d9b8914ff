//! Feeds inputs to a replicator core and carries out its outputs.

use std::sync::Arc;
use std::time::Duration;

use causeway_domain::writing::machine::Conditions;
use causeway_domain::writing::{Beginning, Head};
use causeway_replicator_core::alarm::Alarm;
use causeway_replicator_core::core::{Input, Output};
use causeway_replicator_core::now::Now;
use causeway_replicator_core::prefetch::PrefetchCounts;
use causeway_replicator_core::presence::Online;
use causeway_replicator_core::view::Knowledge;

use crate::hits::Hit;

use super::{Happening, World};

impl World {
    pub(super) fn wake(&mut self, at: usize) {
        let Some(core) = self.replicas[at].core() else {
            return;
        };
        if core.next_wake() <= self.now_ms {
            let random = self.rng.next();
            self.step(at, Input::Tick { random });
        }
    }

    /// Steps the core of a replica and starts its outputs; returns the answers.
    pub(crate) fn step(&mut self, at: usize, input: Input) -> Vec<Output> {
        let now = self.now(at);
        let life = self.replicas[at].life;
        let Some(process) = &mut self.replicas[at].process else {
            return Vec::new();
        };
        let Some(core) = &mut process.core else {
            return Vec::new();
        };
        let revision = core.revision();
        let before = core.prefetches();
        let outputs = core.step(now, input);
        let knowledge = (core.revision() != revision).then(|| core.knowledge());
        if knowledge.is_some() {
            for (user, name) in core.take_online_changes() {
                if name.is_some() {
                    process.sees_online.insert(user);
                } else {
                    process.sees_online.remove(&user);
                }
            }
        }
        let backlog = core.backlog(process.beginning != Beginning::Continued);
        let wake_ms = core.next_wake();
        let prefetches = core.prefetches();
        if let Some(ceiling_ms) = core.ceiling_ms() {
            process.ceiling_ms = Some(ceiling_ms);
        }
        if let Some(machine) = process.writer.machine_mut() {
            // Where replicas are slow, so are readers: clients' commands wait.
            let lag = Duration::from_secs(u64::from(self.swarm.slow));
            machine.set_conditions(Conditions {
                backlog,
                lag,
                max_lag: Duration::from_secs(1),
            });
        }
        if let Some(knowledge) = knowledge {
            let replica = &mut self.replicas[at];
            replica.settled = replica.settled.max(knowledge.settled_ts);
            self.expect_memory(at, &knowledge);
        }
        self.count_prefetches(before, prefetches);
        let mut answers = Vec::new();
        for output in outputs {
            if self.trace.is_some() {
                self.note_output(at, &output);
            }
            answers.extend(self.start_output(at, output));
        }
        self.plan(
            wake_ms.saturating_sub(self.now_ms),
            Happening::Wake(at, life),
        );
        answers
    }

    /// A peer's known vector only grows, as long as no replica loses state or crashes: a late
    /// report of a former process cannot always be distinguished from one of its successor.
    fn expect_memory(&mut self, at: usize, knowledge: &Knowledge) {
        let Some(process) = &mut self.replicas[at].process else {
            return;
        };
        let mut forgotten = None;
        for (&peer, known) in &knowledge.peers {
            let Some(held) = &known.held else { continue };
            if let Some(former) = process.known.insert(peer, Arc::clone(held))
                && !Arc::ptr_eq(&former, held)
                && !held.covers_all(&former)
            {
                forgotten = Some(peer);
            }
        }
        if let Some(peer) = forgotten.filter(|_| !self.swarm.loses_state() && !self.swarm.crashes) {
            self.violate(|| format!("{} forgets what {peer} holds", at + 1));
        }
    }

    fn count_prefetches(&mut self, before: PrefetchCounts, after: PrefetchCounts) {
        let counts = [
            (Hit::Prefetched, before.used, after.used),
            (
                Hit::PrefetchedNarrow,
                before.used_by_wider,
                after.used_by_wider,
            ),
            (Hit::PrefetchDropped, before.dropped, after.dropped),
        ];
        for (hit, before, after) in counts {
            for _ in before..after {
                self.hit(hit);
            }
        }
    }

    fn start_output(&mut self, at: usize, output: Output) -> Vec<Output> {
        match output {
            Output::Digest { to, digest } => self.send_digest(at, to, digest),
            Output::Push { to, push } => self.send_push(at, to, &push),
            Output::Pull {
                from, call, after, ..
            } => self.send_pull(at, from, call, after),
            Output::CancelPull { from, call } => self.cancel_pull(at, from, call),
            Output::Store {
                store,
                events,
                not_awaited,
                ..
            } => self.store_events(at, store, events, not_awaited),
            Output::LeftOut { .. } => self.hit(Hit::LeftOut),
            Output::PushAnswer { ticket, answer } => self.answer_push(at, ticket, answer),
            Output::ReadHash {
                peer,
                origin,
                seq,
                theirs,
            } => {
                let event = causeway_domain::ids::Dot { origin, seq };
                let ours = self.replicas[at].disk.event(event).map(|event| event.hash);
                let read = Input::HashRead {
                    peer,
                    origin,
                    seq,
                    theirs,
                    ours,
                };
                return self.step(at, read);
            }
            Output::Alarm(alarm) => self.sound(at, alarm),
            Output::Renew { former } => self.renew(at, former),
            answer @ Output::Answer(_) => return vec![answer],
        }
        Vec::new()
    }

    fn sound(&mut self, at: usize, alarm: Alarm) {
        match &alarm {
            Alarm::Refused { reason, .. } | Alarm::RefusedBy { reason, .. } => {
                use causeway_replicator_core::wire::Refusal;
                match reason {
                    Refusal::Clone { .. } => self.hit(Hit::CloneRefused),
                    Refusal::NoCommonProtocol { .. } => self.hit(Hit::VersionRefused),
                    _ => {}
                }
            }
            _ => {}
        }
        self.ledger.alarms.push((self.replicas[at].id, alarm));
    }

    pub(crate) fn now(&self, at: usize) -> Now {
        Now {
            ms: self.now_ms,
            wall_ms: i64::try_from(self.wall_ms(at)).expect("clocks are off by a year at most"),
        }
    }

    fn note_output(&mut self, at: usize, output: &Output) {
        let what = match output {
            Output::Answer(Ok(digest)) => format!("answers digest {}", digest.n),
            Output::Answer(Err(refusal)) => format!("refuses: {refusal}"),
            Output::PushAnswer { answer, .. } => {
                let n = answer.as_ref().map(|answer| answer.n);
                format!("answers push {n:?}")
            }
            Output::Digest { to, digest } => format!(
                "digest {} to {to}: {:?} floor {} forked {:?} withheld {:?}",
                digest.n,
                digest
                    .held()
                    .iter()
                    .map(|(o, s)| format!("{o}:{s}"))
                    .collect::<Vec<_>>(),
                digest.closed_ts.get(),
                digest
                    .forked
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>(),
                digest
                    .withheld
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
            ),
            Output::Push { to, .. } => format!("push to {to}"),
            Output::Pull {
                from, call, after, ..
            } => format!("pull {call} from {from} after {after:?}"),
            Output::CancelPull { call, .. } => format!("gives up pull {call}"),
            Output::Store { from, events, .. } => {
                format!("stores {} events of {from}", events.len())
            }
            Output::LeftOut { dot, .. } => format!("leaves out {}:{}", dot.origin, dot.seq),
            Output::ReadHash { origin, seq, .. } => format!("looks up {origin}:{seq}"),
            Output::Alarm(alarm) => format!("ALARM {alarm:?}"),
            Output::Renew { former } => format!("is to write as {former} no more"),
        };
        self.note(format_args!("{} {what}", at + 1));
    }

    /// A user comes online or goes offline in a group at a replica.
    pub(crate) fn flip_presence(&mut self, at: usize) {
        let user = self.rng.below(6);
        let online = Online {
            group: format!("group{}", user % 2),
            id: causeway_domain::names::UserId(format!("user{user}")),
            name: format!("user{user}"),
        };
        let process = self.replicas[at].process.as_mut();
        let Some(process) = process.filter(|process| process.core.is_some()) else {
            return;
        };
        let (mut came, mut went) = (Vec::new(), Vec::new());
        if let Some(index) = process.online.iter().position(|known| *known == online) {
            went.push(process.online.remove(index));
        } else {
            process.online.push(online.clone());
            came.push(online);
        }
        self.hit(Hit::Presence);
        self.step(at, Input::Presence { came, went });
    }

    /// Sends the commit signal: the log has grown, or the closed timestamp has risen.
    pub(crate) fn signal_commit(&mut self, at: usize, head: Arc<Head>) {
        self.step(at, Input::Committed(head));
        self.fold_soon(at);
    }
}
