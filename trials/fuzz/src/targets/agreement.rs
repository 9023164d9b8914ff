//! A sequence of messages from peers, through the decoders into the core. Whatever their content
//! and order, the core must not panic and must answer each call once.

use std::collections::BTreeSet;
use std::sync::Arc;

use causeway_domain::chain::Hash;
use causeway_domain::envelope::{Envelope, RawEvent};
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Epoch, Origin, ReplicaId};
use causeway_domain::stamp::Stamp;
use causeway_domain::version_vector::{Range, VersionVector};
use causeway_domain::writing::{Absorbed, Head};
use causeway_replicator_core::core::{Core, Input, Output};
use causeway_replicator_core::failure::{CallFailure, LinkError, StoreFailure};
use causeway_replicator_core::instance::Instance;
use causeway_replicator_core::me::Me;
use causeway_replicator_core::now::Now;
use causeway_replicator_core::presence::{Held, Report};
use causeway_replicator_core::wire::events::Decoded;
use causeway_replicator_core::wire::{Digest, PROTOCOL, PushAnswer, Refusal};

use crate::pieces::Pieces;

/// The peers of replica 1 have the numbers 2 to this one.
const HIGHEST: u16 = 4;
/// The maximum length of a sequence.
const MOST_STEPS: usize = 40;

/// Runs one sequence.
pub fn agreement(bytes: &[u8]) {
    let mut pieces = Pieces::of(bytes);
    let mut now = Now { ms: 1, wall_ms: 1 };
    let mut open = Open::beside(head(&mut pieces, 0));
    let mut core = Core::new(now, me(), Arc::clone(&open.head)).with_batches_of(2);

    for _ in 0..MOST_STEPS {
        if pieces.is_empty() {
            return;
        }
        now.ms += u64::from(pieces.byte()) * 8;
        let Some(input) = input(&mut pieces, &mut open) else {
            continue;
        };
        let is_owed = matches!(input, Input::DigestCalled(_));

        let outputs = core.step(now, input);

        let is_answer = |output: &&Output| matches!(output, Output::Answer(_));
        let answers = outputs.iter().filter(is_answer).count();
        assert_eq!(answers, usize::from(is_owed));
        assert!(core.next_wake() > now.ms);
        for output in &outputs {
            is_possible(output);
            open.note(output);
        }
        let knowledge = core.knowledge();
        assert!(knowledge.settled_ts <= open.head.closed_ts);
        assert_eq!(
            knowledge.view(now.ms, &open.head.vector).len(),
            knowledge.peers.len()
        );
    }
}

/// The pending calls of the core.
struct Open {
    head: Arc<Head>,
    pulls: Vec<(ReplicaId, u64)>,
    stores: Vec<u64>,
    pushes: BTreeSet<u64>,
    last_ticket: u64,
}

impl Open {
    fn beside(head: Arc<Head>) -> Self {
        Self {
            head,
            pulls: Vec::new(),
            stores: Vec::new(),
            pushes: BTreeSet::new(),
            last_ticket: 0,
        }
    }

    fn note(&mut self, output: &Output) {
        match output {
            Output::Pull { from, call, .. } => self.pulls.push((*from, *call)),
            Output::Store { store, .. } => self.stores.push(*store),
            Output::PushAnswer { ticket, .. } => {
                assert!(self.pushes.remove(ticket), "a push is answered once");
            }
            _ => {}
        }
    }
}

/// Asserts that a peer of the same version can parse an output.
fn is_possible(output: &Output) {
    match output {
        Output::Digest { digest, .. } | Output::Answer(Ok(digest)) => {
            let sent = serde_json::to_vec(digest).expect("a digest is JSON");
            assert_eq!(
                &Digest::parse(&sent).expect("its own encoding can be parsed"),
                &**digest
            );
        }
        Output::PushAnswer {
            answer: Ok(answer), ..
        } => {
            let sent = serde_json::to_vec(answer).expect("an answer is JSON");
            assert_eq!(
                &PushAnswer::parse(&sent).expect("its own encoding can be parsed"),
                answer
            );
        }
        _ => {}
    }
}

fn input(pieces: &mut Pieces<'_>, open: &mut Open) -> Option<Input> {
    let peer = replica(pieces);
    Some(match pieces.byte() % 9 {
        0 => Input::Tick {
            random: pieces.number(),
        },
        1 => {
            open.head = head(pieces, open.head.offset + 1);
            Input::Committed(Arc::clone(&open.head))
        }
        2 | 3 => Input::DigestCalled(digest(pieces, peer)?),
        4 => Input::DigestDone {
            peer,
            result: match digest(pieces, peer) {
                Some(digest) if pieces.byte() < 200 => Ok(digest),
                _ => Err(LinkError::Refused(Refusal::Unknown)),
            },
        },
        5 => {
            open.last_ticket += 1;
            open.pushes.insert(open.last_ticket);
            Input::PushCalled {
                from: peer,
                ticket: open.last_ticket,
                events: events(pieces),
            }
        }
        6 => Input::PushDone {
            peer,
            sent: vector(pieces),
            result: push_answer(pieces).ok_or(CallFailure::Log),
        },
        7 => {
            // Cancelled and finished calls are included.
            let (peer, call) = *open.pulls.get(usize::from(pieces.byte()))?;
            Input::PullDone {
                peer,
                call,
                result: match pieces.byte() {
                    0..200 => Ok(Decoded {
                        events: events(pieces),
                        flawed: usize::from(pieces.byte() / 200),
                    }),
                    _ => Err(LinkError::Unreachable),
                },
            }
        }
        _ => Input::StoreDone {
            store: open.stores.pop()?,
            result: match pieces.byte() {
                0..150 => Ok(absorbed(pieces)),
                150..220 => Err(StoreFailure::Unstorable),
                _ => Err(StoreFailure::Unavailable),
            },
        },
    })
}

fn events(pieces: &mut Pieces<'_>) -> Vec<RawEvent> {
    let count = pieces.byte() % 4;
    (0..count).map(|_| event(pieces)).collect()
}

fn event(pieces: &mut Pieces<'_>) -> RawEvent {
    let envelope = Envelope {
        stamp: Stamp {
            origin: origin(u16::from(pieces.byte() % 5) + 1, pieces.byte() % 3),
            seq: pieces.number() % (1 << 40) + 1,
            hlc: Hlc::at_ms(1),
            past: vector(pieces),
        },
        level: 1,
        aggregate: "post".into(),
        id: "x".into(),
        group: None,
        kind: "Posted".into(),
        at: 0,
        event: serde_json::value::RawValue::NULL.to_owned().into(),
    };
    RawEvent::create(envelope, Hash::START)
}

/// A digest as parsed from the wire, if it is valid.
fn digest(pieces: &mut Pieces<'_>, peer: ReplicaId) -> Option<Box<Digest>> {
    let said = Digest {
        replica: if pieces.byte() < 250 {
            peer
        } else {
            replica(pieces)
        },
        epoch: Epoch(pieces.byte().into()),
        instance: instance(pieces),
        n: pieces.number(),
        cluster: if pieces.byte() < 250 { "c" } else { "d" }.into(),
        protocol: if pieces.byte() < 250 { [1, 1] } else { [2, 9] },
        vector: vector(pieces)
            .iter()
            .map(|(origin, seq)| (origin, (seq, Hash([pieces.byte() % 2; 32]))))
            .collect(),
        closed_ts: Hlc::new(pieces.number() >> 1)?,
        wall: i64::from_ne_bytes(pieces.number().to_ne_bytes()),
        presence: Report {
            version: pieces.number(),
            held: (pieces.byte() < 128).then(|| Held {
                instance: instance(pieces),
                version: pieces.number(),
            }),
            change: None,
            full: None,
        },
        lag_ms: pieces.number(),
        pulling: pieces.byte() < 128,
        forked: vector(pieces).iter().map(|(origin, _)| origin).collect(),
        withheld: vector(pieces).iter().map(|(origin, _)| origin).collect(),
        rumours: vector(pieces)
            .iter()
            .map(|(origin, _)| (origin, pieces.byte()))
            .collect(),
    };
    let sent = serde_json::to_vec(&said).expect("a digest is JSON");
    Digest::parse(&sent).ok().map(Box::new)
}

fn push_answer(pieces: &mut Pieces<'_>) -> Option<PushAnswer> {
    let said = PushAnswer {
        instance: instance(pieces),
        n: pieces.number(),
        vector: vector(pieces),
    };
    let sent = serde_json::to_vec(&said).expect("an answer is JSON");
    PushAnswer::parse(&sent).ok()
}

fn absorbed(pieces: &mut Pieces<'_>) -> Absorbed {
    let missing = vector(pieces);
    let range = |(origin, last)| Range {
        origin,
        first: 1,
        last,
    };
    Absorbed {
        stored: pieces.byte().into(),
        missing: missing.iter().map(range).collect(),
        forked: vector(pieces).iter().map(|(origin, _)| origin).collect(),
        unknown_own: None,
    }
}

fn head(pieces: &mut Pieces<'_>, offset: i64) -> Arc<Head> {
    let vector: VersionVector = vector(pieces)
        .iter()
        .map(|(origin, seq)| (origin, seq % (1 << 40)))
        .collect();
    Arc::new(Head {
        origin: origin(1, 0),
        hashes: vector.iter().map(|(o, _)| (o, Hash::START)).collect(),
        vector,
        closed_ts: Hlc::at_ms(offset.unsigned_abs()),
        highest: Hlc::at_ms(offset.unsigned_abs()),
        offset,
    })
}

fn vector(pieces: &mut Pieces<'_>) -> VersionVector {
    let count = pieces.byte() % 5;
    let entry = |_| {
        let origin = origin(u16::from(pieces.byte() % 5) + 1, pieces.byte() % 3);
        (origin, pieces.number())
    };
    (0..count).map(entry).collect()
}

fn me() -> Me {
    Me {
        origin: origin(1, 0),
        instance: Instance(1),
        cluster: "c".into(),
        peers: (2..=HIGHEST).map(id).collect(),
        protocol: PROTOCOL,
    }
}

fn replica(pieces: &mut Pieces<'_>) -> ReplicaId {
    id(u16::from(pieces.byte()) % HIGHEST + 1)
}

fn instance(pieces: &mut Pieces<'_>) -> Instance {
    Instance((pieces.byte() % 4).into())
}

fn origin(replica: u16, epoch: u8) -> Origin {
    Origin {
        replica: id(replica),
        epoch: Epoch(epoch.into()),
    }
}

fn id(number: u16) -> ReplicaId {
    ReplicaId::new(number).expect("numbers here begin at 1")
}
