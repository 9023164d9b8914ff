use causeway_domain::ids::ReplicaId;
use proptest::prelude::*;

use super::*;

const MINUTE_MS: u64 = 60_000;

#[test]
fn a_caller_is_offered_a_session_and_served_in_it() {
    let (mut incoming, mut outgoing) = both();
    let first = outgoing.next([0; 32]);

    assert_eq!(incoming.judge(5, &first), Verdict::UnknownSession);
    outgoing.learn(&first, true, incoming.offer(5));

    assert_eq!(incoming.judge(6, &outgoing.next([0; 32])), Verdict::Fresh);
}

#[test]
fn a_call_is_served_once() {
    let (mut incoming, mut outgoing) = in_session();
    let calls: Vec<_> = (0..3_000).map(|_| outgoing.next([0; 32])).collect();

    for pair in calls.chunks(2) {
        // They arrive out of order.
        for call in pair.iter().rev() {
            assert_eq!(incoming.judge(1, call), Verdict::Fresh);
        }
    }

    for call in &calls {
        assert_eq!(incoming.judge(2, call), Verdict::Repeated);
    }
}

#[test]
fn a_call_is_worth_nothing_after_a_restart_and_at_another_replica() {
    let (_, mut outgoing) = in_session();
    let call = outgoing.next([0; 32]);
    for (replica, instance) in [(1, 10), (3, 9)] {
        let mut other = Incoming::new(process(replica, instance), &[id(2)]);

        assert_eq!(other.judge(1, &call), Verdict::UnknownSession);
    }
}

#[test]
fn a_call_that_was_held_up_is_worth_nothing_after_a_minute() {
    let (mut incoming, mut outgoing) = in_session();
    let [soon, late] = [(); 2].map(|()| outgoing.next([0; 32]));

    assert_eq!(incoming.judge(MINUTE_MS, &soon), Verdict::Fresh);
    assert_eq!(
        incoming.judge(MINUTE_MS + 1, &late),
        Verdict::UnknownSession
    );
}

#[test]
fn a_session_from_the_future_is_none() {
    let (mut incoming, mut outgoing) = both();
    let call = outgoing.next([0; 32]);
    outgoing.learn(&call, true, incoming.offer(9));

    let early = incoming.judge(8, &outgoing.next([0; 32]));

    assert_eq!(early, Verdict::UnknownSession);
}

#[test]
fn answers_renew_the_session_before_it_ends() {
    let (mut incoming, mut outgoing) = in_session();

    for now_ms in (0..10 * MINUTE_MS).step_by(500) {
        let call = outgoing.next([0; 32]);
        assert_eq!(incoming.judge(now_ms, &call), Verdict::Fresh, "{now_ms}");
        outgoing.learn(&call, false, incoming.offer(now_ms));
    }

    let windows = incoming.peers[&id(2)].open.len();
    assert!(windows <= 4, "{windows}");
}

#[test]
fn a_late_answer_of_a_former_process_does_not_displace_the_session() {
    let (incoming, mut outgoing) = in_session();
    let mut next = Incoming::new(process(1, 10), &[id(2)]);
    let [before, refused] = [(); 2].map(|()| outgoing.next([0; 32]));
    assert_eq!(next.judge(1, &refused), Verdict::UnknownSession);
    outgoing.learn(&refused, true, next.offer(1));

    outgoing.learn(&before, false, incoming.offer(9 * MINUTE_MS));
    outgoing.learn(&before, true, incoming.offer(9 * MINUTE_MS));

    assert_eq!(next.judge(2, &outgoing.next([0; 32])), Verdict::Fresh);
}

#[test]
fn processes_without_number_cost_no_more_memory_and_lose_no_memory_of_a_call() {
    let mut incoming = Incoming::new(process(1, 9), &[id(2)]);
    let calls: Vec<_> = (0..1_000)
        .map(|number| head(process(2, number), number % 50, 1))
        .collect();

    let first: Vec<_> = calls.iter().map(|call| incoming.judge(50, call)).collect();

    assert!(first.contains(&Verdict::Fresh));
    assert!(incoming.peers[&id(2)].open.len() <= MOST_WINDOWS);
    for call in &calls {
        assert_ne!(incoming.judge(51, call), Verdict::Fresh);
    }
    let late = incoming.judge(60, &head(process(2, 7_777), 60, 1));
    assert_eq!(late, Verdict::Fresh, "a new process is served all the same");
}

#[test]
fn nothing_is_remembered_of_who_is_no_peer() {
    let mut incoming = Incoming::new(process(1, 9), &[id(2)]);

    let verdict = incoming.judge(1, &head(process(7, 1), 1, 1));

    assert_eq!(verdict, Verdict::Stranger);
    assert_eq!(incoming.peers.len(), 1);
}

proptest! {
    #[test]
    fn no_call_is_ever_served_twice(
        calls in prop::collection::vec((0..4_u64, 0..8_u64, 0..2_000_u64, 0..4_000_u64), 1..400),
    ) {
        let mut incoming = Incoming::new(process(1, 9), &[id(2)]);
        let (mut now_ms, mut served) = (0, Vec::new());
        for (instance, session, count, passes_ms) in calls {
            now_ms += passes_ms;
            let call = head(process(2, instance), session * 10_000, count);
            if incoming.judge(now_ms, &call) == Verdict::Fresh {
                prop_assert!(!served.contains(&call), "{call:?}");
                served.push(call);
            }
            prop_assert!(incoming.peers[&id(2)].open.len() <= MOST_WINDOWS);
        }
    }

    #[test]
    fn whoever_follows_the_answers_is_served_at_the_second_try(
        steps in prop::collection::vec((0..3_usize, 0..100_000_u64, any::<bool>()), 1..100),
    ) {
        let mut incoming = Incoming::new(process(1, 0), &[id(2)]);
        let caller = |instance: usize| process(2, instance as u64);
        let mut callers = [0, 1, 2].map(|it| Outgoing::new(caller(it), id(1)));
        let (mut now_ms, mut restarts) = (0, 0);
        for (who, passes_ms, is_restarted) in steps {
            now_ms += passes_ms;
            if is_restarted {
                restarts += 1;
                now_ms = 0;
                incoming = Incoming::new(process(1, restarts), &[id(2)]);
            }
            let mut verdicts = Vec::new();
            for _ in 0..2 {
                let call = callers[who].next([0; 32]);
                verdicts.push(incoming.judge(now_ms, &call));
                let is_refused = verdicts.last() == Some(&Verdict::UnknownSession);
                callers[who].learn(&call, is_refused, incoming.offer(now_ms));
            }
            prop_assert_eq!(verdicts[1], Verdict::Fresh, "{:?}", verdicts);
        }
    }
}

fn both() -> (Incoming, Outgoing) {
    let own = process(1, 9);
    let incoming = Incoming::new(own, &[id(2)]);
    (incoming, Outgoing::new(process(2, 8), own.replica))
}

fn in_session() -> (Incoming, Outgoing) {
    let (incoming, mut outgoing) = both();
    let call = outgoing.next([0; 32]);
    outgoing.learn(&call, true, incoming.offer(0));
    (incoming, outgoing)
}

fn head(from: Process, opened_ms: u64, count: u64) -> Head {
    let process = process(1, 9);
    Head {
        from,
        to: process.replica,
        session: Some(Session { process, opened_ms }),
        count,
        body_hash: [0; 32],
    }
}

fn process(replica: u16, instance: u64) -> Process {
    Process {
        replica: id(replica),
        instance: Instance(instance),
    }
}

fn id(number: u16) -> ReplicaId {
    ReplicaId::new(number).unwrap()
}
