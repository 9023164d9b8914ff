//! The laws of serving in turn, for any arrivals.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const QUANTUM: u32 = 4;
/// The highest cost of an item; more than two quanta.
const DEAREST: u32 = 10;

/// What happens to a queue: a user's item of a cost arrives, or a number of items is taken.
#[derive(Clone, Copy, Debug)]
enum Step {
    Push(u8, u32),
    Take(usize, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let push = (0..5_u8, 1..=DEAREST).prop_map(|(user, cost)| Step::Push(user, cost));
    let take = (1..6_usize, any::<bool>()).prop_map(|(count, one)| Step::Take(count, one));
    proptest::collection::vec(prop_oneof![4 => push, 1 => take], 0..200)
}

/// An item: its user, its number among all, and its cost.
type Item = (u8, usize, u32);

proptest! {
    #[test]
    fn nothing_is_lost_and_each_users_items_stay_in_order(steps in steps()) {
        let (pushed, served) = run(&steps);

        let of = |items: &[Item], user| -> Vec<_> {
            items.iter().copied().filter(|item| item.0 == user).collect()
        };
        prop_assert_eq!(served.len(), pushed.len());
        for user in 0..5 {
            prop_assert_eq!(of(&served, user), of(&pushed, user));
        }
    }

    #[test]
    fn a_users_wait_is_bounded_by_users_times_quantum(
        others in proptest::collection::vec((1..9_u8, 1..=DEAREST), 0..300),
        cost in 1..=DEAREST,
        count in 1..40_usize,
        one_round: bool,
    ) {
        let mut turns = Turns::new(QUANTUM);
        for (user, cost) in &others {
            turns.push(*user, *cost, *cost);
        }
        let users = u32::try_from(turns.users()).unwrap();
        turns.push(0, cost, 0);

        let (mut before, mut is_served) = (0, false);
        while !is_served {
            turns.take(count, one_round, |user, cost| {
                is_served |= *user == 0;
                before += if is_served { 0 } else { cost };
            });
        }

        let rounds = cost.div_ceil(QUANTUM);
        prop_assert!(before <= users * (rounds * QUANTUM + DEAREST), "{before} before {cost}");
    }

    #[test]
    fn one_round_serves_each_waiting_user_once(waiting in proptest::collection::vec(1..50_usize, 1..9)) {
        let mut turns = Turns::new(QUANTUM);
        for (user, count) in waiting.iter().enumerate() {
            (0..*count).for_each(|_| turns.push(user, 1, ()));
        }

        let mut served = BTreeMap::<usize, usize>::new();
        turns.take(usize::MAX, true, |user, ()| *served.entry(*user).or_default() += 1);

        let quantum = usize::try_from(QUANTUM).unwrap();
        let expected = waiting.iter().map(|count| (*count).min(quantum));
        prop_assert!(served.into_values().eq(expected));
    }

    #[test]
    fn a_user_without_items_takes_no_memory(steps in steps()) {
        let mut turns = Turns::new(QUANTUM);
        for step in &steps {
            apply(&mut turns, *step, 0, &mut Vec::new());
        }
        turns.take(usize::MAX, false, |_, _| {});

        prop_assert_eq!((turns.users(), turns.len()), (0, 0));
        prop_assert!(turns.lanes_and_ring_are_empty());
    }

    #[test]
    fn a_shared_queue_is_never_over_full_and_a_flood_leaves_a_place(
        steps in proptest::collection::vec((0..4_u8, any::<bool>()), 0..300),
        places in 3..40_usize,
    ) {
        let mut share = Share::new(places);
        let mut held = BTreeMap::<u8, usize>::new();
        for (user, is_arrival) in steps {
            let own = held.entry(user).or_default();
            if is_arrival {
                *own += usize::from(share.admit(&user));
            } else if *own > 0 {
                *own -= 1;
                share.release(&user);
            }
            prop_assert!(held.values().sum::<usize>() <= places);
        }
        for (user, count) in held {
            (0..count).for_each(|_| share.release(&user));
        }
        prop_assert_eq!(share.users(), 0);

        while share.admit(&8) {}
        prop_assert!(share.admit(&9));
    }

    #[test]
    fn a_gate_keeps_its_bounds_and_admits_every_call(
        steps in proptest::collection::vec((0..4_u8, any::<bool>(), 0..400_u64), 0..300),
    ) {
        let bounds = Bounds { running: 7, alone: 5, contended: 2, waiting: 10 };
        let mut gate = Gate::new(bounds);
        let mut running = Vec::new();
        let (mut waiting, mut now_ms) = (0_usize, 0);
        for (user, is_arrival, pause_ms) in steps {
            now_ms += pause_ms;
            let now = Duration::from_millis(now_ms);
            if is_arrival {
                match gate.enter(now, &user, || user) {
                    Entered::Running => running.push(user),
                    Entered::Waiting => waiting += 1,
                    Entered::Refused => {}
                }
            } else if let Some(at) = running.iter().position(|it| *it == user) {
                running.remove(at);
                let admitted = gate.leave(now, &user);
                waiting -= admitted.len();
                running.extend(admitted);
            }
            prop_assert_eq!(gate.running(), running.len());
            prop_assert!(running.len() <= bounds.running);
            for user in 0..4 {
                let own: usize = running.iter().map(|it| usize::from(*it == user)).sum();
                prop_assert!(own <= bounds.alone);
            }
        }
        while let Some(user) = running.pop() {
            let admitted = gate.leave(Duration::from_millis(now_ms), &user);
            waiting -= admitted.len();
            running.extend(admitted);
        }
        prop_assert_eq!((waiting, gate.users()), (0, 0));
    }
}

#[test]
fn a_user_is_contended_only_while_another_is_active() {
    let ms = Duration::from_millis;
    let mut contention = Contention::default();
    contention.note(ms(0), &'a');
    contention.note(ms(100), &'a');
    assert!(!contention.is_contended(ms(100)), "one user is active");

    contention.note(ms(200), &'b');
    assert!(contention.is_contended(ms(200)));
    contention.note(ms(300), &'a');
    assert!(contention.is_contended(ms(1_199)));
    contention.note(ms(1_199), &'a');
    assert!(!contention.is_contended(ms(1_200)), "`b` has gone");
}

#[test]
fn a_gate_lets_a_lone_user_run_more_and_users_wait_in_turn() {
    let mut gate = Gate::new(Bounds {
        running: 4,
        alone: 4,
        contended: 2,
        waiting: 2,
    });
    let now = Duration::ZERO;
    let enter = |gate: &mut Gate<char, u8>, user, waiter| gate.enter(now, &user, || waiter);
    for waiter in 0..4 {
        assert_eq!(enter(&mut gate, 'f', waiter), Entered::Running);
    }
    assert_eq!(enter(&mut gate, 'f', 4), Entered::Waiting);
    assert_eq!(enter(&mut gate, 'f', 5), Entered::Waiting);
    assert_eq!(enter(&mut gate, 'f', 6), Entered::Refused);
    assert!(!gate.is_crowding(now, &'f'), "nobody else is active");

    assert_eq!(enter(&mut gate, 'c', 9), Entered::Waiting, "all run");
    assert!(gate.is_crowding(now, &'f') && !gate.is_crowding(now, &'c'));
    assert_eq!(gate.leave(now, &'f'), [9], "the flooder runs more than two");
    assert_eq!(gate.leave(now, &'f'), [0_u8; 0]);
    assert_eq!(gate.leave(now, &'f'), [4]);
}

#[test]
fn one_user_gets_two_thirds_of_a_queue_and_the_next_ones_the_rest() {
    let mut share = Share::new(30);
    let mut fill = |user: char| (0..30).filter(|_| share.admit(&user)).count();

    assert_eq!((fill('f'), fill('g'), fill('c')), (20, 7, 2));
}

fn run(steps: &[Step]) -> (Vec<Item>, Vec<Item>) {
    let mut turns = Turns::new(QUANTUM);
    let (mut pushed, mut served) = (Vec::new(), Vec::new());
    for (number, step) in steps.iter().enumerate() {
        if let Step::Push(user, cost) = *step {
            pushed.push((user, number, cost));
        }
        let before = (served.len(), turns.len());
        apply(&mut turns, *step, number, &mut served);
        if let Step::Take(count, _) = *step {
            let taken = served.len() - before.0;
            assert!(taken <= count && (taken > 0 || before.1 == 0));
        }
    }
    turns.take(usize::MAX, false, |_, item| served.push(item));
    (pushed, served)
}

fn apply(turns: &mut Turns<u8, Item>, step: Step, number: usize, served: &mut Vec<Item>) {
    match step {
        Step::Push(user, cost) => turns.push(user, cost, (user, number, cost)),
        Step::Take(count, one_round) => turns.take(count, one_round, |_, item| served.push(item)),
    }
}
