//! Given what peers said, when something happens, then this is done.

mod alarms;
mod hanging;

use std::collections::BTreeMap;

use causeway_domain::chain::Hash;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::Epoch;
use causeway_domain::names::UserId;
use causeway_domain::stamp::Dot;
use causeway_domain::version_vector::Range;

use super::*;
use crate::link::LinkError;
use crate::liveness::Status;
use crate::wire::{Instance, PROTOCOL};

const NOBODY: [u16; 0] = [];
const NO_FORK: [(u16, u16); 0] = [];

#[test]
fn a_caller_that_does_not_belong_is_refused_with_a_reason_and_told_of_once() {
    let proper = digest(2, 1, &[]);
    let cases = [
        (
            Digest {
                cluster: "other".into(),
                ..proper.clone()
            },
            Refusal::OtherCluster {
                cluster: "c".into(),
            },
        ),
        (
            Digest {
                protocol: [2, 3],
                ..proper.clone()
            },
            Refusal::NoCommonProtocol { protocol: PROTOCOL },
        ),
        (digest(1, 1, &[]), Refusal::SameNumber { replica: id(1) }),
        (
            digest(9, 1, &[]),
            Refusal::UnknownReplica { replica: id(9) },
        ),
    ];
    for (caller, refusal) in cases {
        let mut given = Given::peers(2);

        let first = given.called(caller.clone());
        let second = given.called(caller);

        assert!(
            matches!(&first[..], [Output::Alarm(_), Output::Answer(Err(why))] if *why == refusal)
        );
        assert!(
            matches!(&second[..], [Output::Answer(Err(_))]),
            "{second:?}"
        );
    }
}

#[test]
fn a_peer_that_answers_with_another_number_is_not_believed() {
    let mut given = Given::peers(2);

    let done = given.answered_as(2, digest(3, 1, &[(3, 5)]));

    let reason = Refusal::WrongNumber {
        configured: id(2),
        answers: id(3),
    };
    assert!(
        matches!(&done[..], [Output::Alarm(Alarm::RefusedBy { reason: r, .. })] if *r == reason)
    );
    assert_eq!(given.core.knowledge().peers[&id(2)].held, None);
}

#[test]
fn what_a_peer_shows_is_pulled_at_once_when_it_was_away_and_else_after_a_grace() {
    let mut given = Given::peers(2);

    assert_eq!(pulls(&given.answered(digest(2, 1, &[(2, 5)]))), [2]);
    given.holds(&[(2, 5)]);
    given.pulled(2, 5);
    assert_eq!(pulls(&given.called(digest(2, 2, &[(2, 6)]))), NOBODY);
    assert_eq!(pulls(&given.at(240)), NOBODY);
    assert_eq!(pulls(&given.at(260)), [2]);
}

#[test]
fn a_pull_is_not_made_when_the_push_came_first() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));

    given.called(digest(2, 2, &[(2, 1)]));
    given.holds(&[(2, 1)]);

    assert_eq!(pulls(&given.at(500)), NOBODY);
}

#[test]
fn a_great_difference_is_pulled_at_once() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));

    assert_eq!(pulls(&given.called(digest(2, 2, &[(2, 5_000)]))), [2]);
}

#[test]
fn two_pulls_overlap_only_for_different_origins() {
    let mut given = Given::peers(4);

    assert_eq!(pulls(&given.answered(digest(2, 1, &[(2, 5), (3, 5)]))), [2]);
    assert_eq!(
        pulls(&given.answered(digest(3, 1, &[(2, 5), (3, 5)]))),
        NOBODY
    );
    let third = given.answered(digest(4, 1, &[(2, 5), (4, 5)]));

    assert_eq!(pulls(&third), [4]);
    let Some(Output::Pull { after, .. }) = third.iter().find(|o| matches!(o, Output::Pull { .. }))
    else {
        panic!("a pull");
    };
    assert!(after.covers(dot(2, 5)), "2 is the first puller's part");
    assert!(!after.covers(dot(4, 5)));
}

#[test]
fn a_second_pull_asks_for_nothing_that_the_first_may_bring_without_having_shown_it() {
    let mut given = Given::peers(4);
    given.answered(digest(4, 1, &[]));
    assert_eq!(pulls(&given.answered(digest(2, 1, &[(2, 5)]))), [2]);
    // The others may hold it by now, 2 as well.
    assert_eq!(pulls(&given.called(digest(4, 2, &[(4, 7)]))), NOBODY);

    let second = given.answered(digest(3, 1, &[(3, 5)]));

    assert_eq!(pulls(&second), [3]);
    assert!(!after(&second).covers(dot(3, 5)));
    assert!(after(&second).covers(dot(4, 7)), "3 has not shown it");
}

#[test]
fn a_peer_that_comes_back_pulls_and_is_pushed_only_what_it_did_not_pull() {
    let mut given = Given::peers(2);
    given.holds(&[(1, 5)]);

    assert_eq!(pushes(&given.answered(digest(2, 1, &[]))), NOBODY);
    given.at(500);
    assert_eq!(pushes(&given.called(digest(2, 2, &[]))), NOBODY);
    given.at(1_000);

    assert_eq!(pushes(&given.called(digest(2, 3, &[]))), [2]);
}

#[test]
fn a_pull_that_brings_nothing_is_repeated_ever_more_rarely() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[(2, 5)]));

    given.pulled(2, 0);
    assert_eq!(pulls(&given.at(200)), NOBODY);
    assert_eq!(pulls(&given.at(250)), [2]);
    given.pulled(2, 0);
    assert_eq!(pulls(&given.at(400)), NOBODY);
    assert_eq!(pulls(&given.at(100)), [2]);
}

#[test]
fn an_origin_that_a_pull_got_stuck_on_is_left_out_for_a_while_and_then_tried_again() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[(2, 5_000), (3, 5)]));

    given.stuck(2, range(2, 1, 999));
    let others = after(&given.at(250));
    assert!(others.covers(dot(2, 5_000)), "2 waits");
    assert!(!others.covers(dot(3, 1)), "3 does not");
    given.holds(&[(3, 5)]);
    given.pulled(2, 5);
    assert_eq!(
        pulls(&given.answered(digest(2, 2, &[(2, 5_000), (3, 5)]))),
        NOBODY
    );

    given.at(1_000);
    let again = after(&given.answered(digest(2, 3, &[(2, 5_000), (3, 5)])));
    assert!(!again.covers(dot(2, 1)), "2 again");
}

#[test]
fn what_another_pull_is_to_bring_is_not_what_a_pull_got_stuck_on() {
    let mut given = Given::peers(3);
    given.answered(digest(2, 1, &[(2, 5)]));
    given.answered(digest(3, 1, &[(2, 5), (3, 5)]));

    given.stuck(3, range(2, 1, 5));
    given.holds(&[(2, 3)]);
    let goes_on = given.pulled(2, 3);

    assert!(!after(&goes_on).covers(dot(2, 4)));
}

#[test]
fn an_own_event_is_pushed_to_every_peer_and_the_next_one_after_the_answer() {
    let mut given = Given::peers(3);
    given.answered(digest(2, 1, &[]));
    given.answered(digest(3, 1, &[]));

    assert_eq!(pushes(&given.holds(&[(1, 1)])), [2, 3]);
    assert_eq!(pushes(&given.holds(&[(1, 2)])), NOBODY);
    assert_eq!(pushes(&given.pushed(2, 2, &[(1, 1)], &[(1, 1)])), [2]);
}

#[test]
fn nothing_is_pushed_to_a_peer_that_is_down() {
    let mut given = Given::peers(3);
    given.answered(digest(2, 1, &[]));
    given.at(10_000);

    assert_eq!(pushes(&given.holds(&[(1, 1)])), NOBODY);
}

#[test]
fn nothing_gathers_for_a_peer_that_is_down_however_much_is_written() {
    let mut given = Given::peers(3);
    given.answered(digest(2, 1, &[]));
    given.at(10_000);
    // As many digits as the numbers below will have.
    given.holds(&[(1, 1_000_000)]);
    let before = format!("{:?}", given.core).len();

    for seq in 1_000_001..1_020_000 {
        assert_eq!(pushes(&given.holds(&[(1, seq)])), NOBODY);
    }

    let after = format!("{:?}", given.core).len();
    assert!(after <= before + 200, "from {before} to {after} characters");
}

#[test]
fn an_older_digest_changes_nothing() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 7, &[(2, 5)]));

    given.called(digest(2, 6, &[(2, 3)]));
    assert_eq!(given.known(2), vector(&[(2, 5)]));
    given.called(digest(2, 8, &[(2, 4)]));

    assert_eq!(given.known(2), vector(&[(2, 4)]), "replaced, not merged");
}

#[test]
fn a_fork_is_told_once_and_its_origin_exchanged_no_further_until_it_is_mended() {
    let mut given = Given::peers(3);
    given.holds(&[(1, 1), (2, 5)]);
    given.answered(digest(3, 1, &[(1, 1), (2, 5)]));
    let mut forked = digest(2, 1, &[(1, 1), (2, 5)]);
    forked.vector.insert(origin(2), (5, Hash([9; 32])));

    let first = given.answered(forked.clone());
    forked.n = 2;
    let second = given.called(forked);
    let third = given.called(digest(3, 2, &[(1, 1), (2, 9)]));

    assert_eq!(forks(&first), [(2, 2)]);
    assert_eq!(forks(&second), NO_FORK);
    assert_eq!(pulls(&third), NOBODY);
    assert_eq!(pulls(&given.at(400)), NOBODY, "of nobody");

    given.called(digest(2, 3, &[(1, 1), (2, 5)]));
    given.called(digest(3, 3, &[(1, 1), (2, 9)]));

    assert_eq!(pulls(&given.at(400)), [3]);
}

#[test]
fn a_chain_below_our_own_is_looked_up_once() {
    let mut given = Given::peers(2);
    given.holds(&[(2, 5)]);

    let asked = given.answered(digest(2, 1, &[(2, 3)]));
    let read = |ours| Input::HashRead {
        peer: id(2),
        origin: origin(2),
        seq: 3,
        theirs: chain(2, 3),
        ours: Some(ours),
    };
    let fine = given.step(read(chain(2, 3)));
    let again = given.called(digest(2, 2, &[(2, 3)]));
    let forked = given.step(read(Hash([9; 32])));

    assert_eq!(lookups(&asked), 1);
    assert_eq!(lookups(&again), 0);
    assert_eq!(forks(&fine), NO_FORK);
    assert_eq!(forks(&forked), [(2, 2)]);
}

#[test]
fn own_events_that_only_a_peer_holds_are_told_of_when_it_is_certain() {
    let mut given = Given::peers(2);
    given.holds(&[(1, 3)]);

    let first = given.answered(digest(2, 1, &[(1, 5)]));
    given.at(1_000);
    let second = given.called(digest(2, 2, &[(1, 5)]));

    assert_eq!(pulls(&first), NOBODY);
    assert!(!first.iter().any(|o| matches!(o, Output::Alarm(_))));
    let expected = Alarm::OwnEventsUnknown {
        peer: id(2),
        origin: origin(1),
        shown: 5,
        held: 3,
    };
    assert!(
        second
            .iter()
            .any(|o| matches!(o, Output::Alarm(a) if *a == expected))
    );
}

#[test]
fn a_former_epoch_is_pulled_like_anyones_once_a_new_one_is_drawn() {
    let mut given = Given::peers(2);
    given.holds(&[(1, 3)]);
    given.answered(digest(2, 1, &[(1, 5)]));
    given.at(1_000);
    given.called(digest(2, 2, &[(1, 5)]));

    let mut renewed = (*head(&[(1, 3)], 0, 9)).clone();
    renewed.origin.epoch = Epoch(99);
    given.step(Input::Committed(Arc::new(renewed)));
    let mut outputs = given.answered(digest(2, 3, &[(1, 5)]));
    outputs.extend(given.at(300));

    assert_eq!(pulls(&outputs), [2]);
}

#[test]
fn a_push_answered_by_a_process_that_has_not_spoken_is_not_repeated_until_it_does() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    assert_eq!(pushes(&given.holds(&[(1, 1)])), [2]);

    let answer = PushAnswer {
        instance: Instance(77),
        n: 1,
        vector: vector(&[(1, 1)]),
    };
    let outputs = given.step(Input::PushDone {
        peer: id(2),
        sent: vector(&[(1, 1)]),
        result: Ok(answer),
    });

    assert_eq!(pushes(&outputs), NOBODY);
}

#[test]
fn a_floor_counts_once_all_that_was_held_with_it_is_here() {
    let mut given = Given::peers(3);
    let floor = |n, ms, held: &[(u16, u64)]| Digest {
        floor: Hlc::at_ms(ms),
        ..digest(2, n, held)
    };
    given.holds_with_floor(&[], 900);
    given.answered(Digest {
        floor: Hlc::at_ms(800),
        ..digest(3, 1, &[])
    });

    given.answered(floor(1, 500, &[]));
    assert_eq!(given.settled_ms(), 500);
    given.called(floor(2, 700, &[(2, 1)]));
    assert_eq!(given.settled_ms(), 500, "an event is missing");
    given.holds_with_floor(&[(2, 1)], 900);
    assert_eq!(given.settled_ms(), 700);
    given.called(floor(3, 950, &[(2, 1)]));
    assert_eq!(given.settled_ms(), 800, "the lowest of all");
}

#[test]
fn an_event_is_stored_on_its_origin_here_and_where_a_peer_says_so() {
    let mut given = Given::peers(4);
    given.holds(&[(2, 5)]);
    given.answered(digest(3, 1, &[(2, 4)]));
    given.answered(digest(4, 1, &[(2, 5)]));

    let stored_on = |seq| {
        given
            .core
            .knowledge()
            .stored_on(dot(2, seq), &vector(&[(2, 5)]))
    };

    assert_eq!(stored_on(5), [id(1), id(2), id(4)]);
    assert_eq!(stored_on(4), [id(1), id(2), id(3), id(4)]);
    assert!(stored_on(6).is_empty());
}

#[test]
fn users_of_a_peer_are_online_until_it_goes_down_or_begins_anew() {
    let mut given = Given::peers(2);
    let with_ann = |n| {
        let mut digest = digest(2, n, &[]);
        digest.presence = Report {
            version: 1,
            full: Some(BTreeSet::from([online("ann")])),
            ..Report::default()
        };
        digest
    };

    given.answered(with_ann(1));
    assert_eq!(given.online(), ["ann"]);
    given.at(10_000);
    assert_eq!(given.online(), Vec::<String>::new());
    given.answered(with_ann(2));
    assert_eq!(given.online(), ["ann"]);
    given.answered(Digest {
        instance: Instance(77),
        ..digest(2, 1, &[])
    });
    assert_eq!(given.online(), Vec::<String>::new());
}

#[test]
fn presence_changes_are_gathered_and_then_told_at_once() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    given.at(300);
    given.answered(told(digest(2, 2, &[]), 0));

    given.step(Input::Presence {
        came: vec![online("ann")],
        went: vec![],
    });
    given.step(Input::Presence {
        came: vec![online("bob")],
        went: vec![],
    });
    assert_eq!(given.core.next_wake(), given.now.ms + 50);
    let sent = given.at(50);

    let Some(Output::Digest { digest, .. }) = sent.first() else {
        panic!("{sent:?}");
    };
    let change = digest.presence.change.as_ref().unwrap();
    assert_eq!(
        (change.since, change.online.len(), digest.presence.version),
        (0, 2, 2)
    );
}

#[test]
fn a_peer_becomes_suspect_and_down_by_silence_alone() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    let status = |given: &Given| given.core.knowledge().peers[&id(2)].liveness.status;

    assert_eq!(status(&given), Status::Up);
    given.step(Input::DigestDone {
        peer: id(2),
        result: Err(LinkError::Unreachable),
    });
    assert_eq!(status(&given), Status::Up, "it may still call");
    given.at(2_000);
    assert_eq!(status(&given), Status::Suspect);
    given.at(2_000);
    assert_eq!(status(&given), Status::Down);
    given.called(digest(2, 2, &[]));
    assert_eq!(status(&given), Status::Up);
}

#[test]
fn a_question_is_answered_and_teaches_nothing() {
    let mut given = Given::peers(2);

    let answer = given.called(digest(2, 0, &[(2, 9)]));

    assert!(matches!(answer.last(), Some(Output::Answer(Ok(_)))));
    assert_eq!(given.core.knowledge().peers[&id(2)].held, None);
}

#[test]
fn a_clone_is_refused_also_when_it_pushes_or_pulls() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    let clone = Digest {
        instance: Instance(66),
        ..digest(2, 1, &[])
    };
    given.at(1_000);
    given.called(clone.clone());
    given.at(1_000);
    given.answered(digest(2, 2, &[]));

    let refused = given.called(clone.clone());

    let refusal = Refusal::Clone { replica: id(2) };
    assert!(matches!(refused.last(), Some(Output::Answer(Err(why))) if *why == refusal));
    let caller = Caller {
        cluster: "c".into(),
        replica: id(2),
        instance: clone.instance,
    };
    assert_eq!(given.core.admit(&caller), Err(refusal));
}

/// Replica 1, and what it was told.
struct Given {
    core: Core,
    now: Now,
    arrival: i64,
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
            arrival: 0,
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
        self.arrival += 1;
        self.step(Input::Committed(head(held, floor_ms, self.arrival)))
    }

    fn pulled(&mut self, peer: u16, stored: usize) -> Vec<Output> {
        let result = Ok(Taken {
            stored,
            ..Taken::default()
        });
        self.step(Input::PullDone {
            peer: id(peer),
            result,
        })
    }

    fn stuck(&mut self, peer: u16, missing: Range) -> Vec<Output> {
        let result = Ok(Taken {
            missing: vec![missing],
            ..Taken::default()
        });
        self.step(Input::PullDone {
            peer: id(peer),
            result,
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
        self.core.knowledge().settled_floor.ms()
    }

    fn online(&self) -> Vec<String> {
        let knowledge = self.core.knowledge();
        knowledge
            .online_in("lobby")
            .map(|user| user.name.clone())
            .collect()
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
        floor: Hlc::default(),
        wall: 0,
        presence: Report::default(),
        pulling: false,
        forked: BTreeSet::new(),
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

fn head(held: &[(u16, u64)], floor_ms: u64, arrival: i64) -> Arc<Head> {
    let hashes: BTreeMap<_, _> = held
        .iter()
        .map(|&(o, seq)| (origin(o), chain(o, seq)))
        .collect();
    Arc::new(Head {
        origin: origin(1),
        vector: vector(held),
        hashes,
        floor: Hlc::at_ms(floor_ms),
        highest: Hlc::default(),
        arrival,
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
