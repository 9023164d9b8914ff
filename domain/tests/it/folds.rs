//! Folds yield the same value in whatever causal order the events arrive, and in steps of any size.

use std::collections::BTreeMap;

use causeway_domain::aggregate::Stamped;
use causeway_domain::envelope::RawEvent;
use causeway_domain::event::Event;
use causeway_domain::group::Group;
use causeway_domain::post::Post;
use causeway_domain::register::Register;
use causeway_domain::timeline::{Declaration, Effect, FeedEntry, Kind, Message, VECTOR_EVERY};
use cqrs_es::Aggregate;
use proptest::prelude::*;

use crate::expected::{Pair, Seen, expected};
use crate::table::Table;
use crate::world::{Act, World, choices, history, in_some_causal_order};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_aggregates_fold_to_the_same_value(events in history(), choices in choices()) {
        let arrived = in_some_causal_order(&events, &choices);

        for id in ["lobby", "attic"] {
            prop_assert_eq!(folded::<Group, _>(&events, id), folded::<Group, _>(&arrived, id));
        }
        for id in ids_of_posts(&events) {
            prop_assert_eq!(folded::<Post, _>(&events, &id), folded::<Post, _>(&arrived, &id));
        }
    }

    #[test]
    fn an_aggregate_ignores_what_it_has_folded_already(events in history()) {
        let twice: Vec<RawEvent> = events.iter().chain(&events).cloned().collect();

        prop_assert_eq!(folded::<Group, _>(&events, "lobby"), folded::<Group, _>(&twice, "lobby"));
        for id in ids_of_posts(&events) {
            prop_assert_eq!(folded::<Post, _>(&events, &id), folded::<Post, _>(&twice, &id));
        }
    }

    #[test]
    fn people_see_the_same_whatever_arrived_when(
        events in history(),
        choices in choices(),
        sizes in proptest::collection::vec(1..6_usize, 4),
    ) {
        let arrived = in_some_causal_order(&events, &choices);
        let mut table = Table::default();
        table.take_in_steps(&arrived, &sizes);

        prop_assert_eq!(&table.seen, &expected(&events));
    }

    #[test]
    fn steps_of_any_size_leave_the_same_tables(
        events in history(),
        choices in choices(),
        sizes in proptest::collection::vec(1..6_usize, 4),
    ) {
        let arrived = in_some_causal_order(&events, &choices);
        let (mut one_by_one, mut in_steps) = (Table::default(), Table::default());
        one_by_one.take_in_steps(&arrived, &[1]);
        in_steps.take_in_steps(&arrived, &sizes);

        prop_assert_eq!(one_by_one.feed, in_steps.feed);
        prop_assert_eq!(one_by_one.seen, in_steps.seen);
    }

    #[test]
    fn the_feed_says_of_each_event_what_it_changed(events in history(), choices in choices()) {
        let arrived = in_some_causal_order(&events, &choices);
        let mut table = Table::default();
        for event in arrived {
            let before = table.seen.clone();
            table.take(&[event]);

            let told = table.feed.last().unwrap();
            let effect = if visible(&table.seen) != visible(&before) {
                Effect::Shown
            } else if (&table.seen.likes, &table.seen.members) != (&before.likes, &before.members) {
                Effect::Won
            } else if is_contradicted(told, &table.seen) {
                Effect::Overruled
            } else {
                Effect::Lost
            };
            prop_assert_eq!(told.effect, effect);
            if matches!(told.kind, Kind::Message | Kind::Moved) && effect == Effect::Shown {
                let was_known = before.messages.contains_key(&told.subject);
                prop_assert_eq!(told.kind == Kind::Moved, was_known);
            }
        }
    }
}

#[test]
fn the_vector_of_the_log_is_kept_at_the_same_places_whatever_the_steps() {
    let mut world = World::new([0, 0, 0]);
    for turn in 0..300_u32 {
        let group = 0;
        world.act(
            usize::try_from(turn % 3).unwrap(),
            Act::Join { user: 0, group },
        );
    }
    let every = usize::try_from(VECTOR_EVERY).unwrap();
    let vector = world.events[..every].iter();
    let vector = vector.map(|event| event.envelope.stamp.origin);
    let vector = vector.fold(BTreeMap::new(), |mut counts, origin| {
        *counts.entry(origin).or_insert(0_u64) += 1;
        counts
    });

    for sizes in [[1, 1], [7, 250], [300, 1]] {
        let mut table = Table::default();
        table.take_in_steps(&world.events, &sizes);

        assert_eq!(
            table.vectors,
            [(VECTOR_EVERY, vector.clone().into_iter().collect())]
        );
    }
}

#[test]
fn likes_on_both_sides_of_an_earlier_copy_in_one_step_are_all_counted() {
    let mut world = World::new([0, 500, 0]);
    world.act(0, Act::Send { key: 0 });
    world.act(1, Act::Send { key: 0 });
    world.act(
        1,
        Act::Like {
            user: 0,
            message: 0,
        },
    );
    world.act(
        1,
        Act::Like {
            user: 1,
            message: 0,
        },
    );
    let [lower, higher, one, other] = &world.events[..] else {
        unreachable!("four events")
    };
    let mut table = Table::default();

    table.take(std::slice::from_ref(higher));
    table.take(&[one.clone(), lower.clone(), other.clone()]);

    let [message] = &table.seen.messages.values().collect::<Vec<_>>()[..] else {
        unreachable!("one message")
    };
    assert_eq!(message.likes_count, 2);
}

fn folded<A, E>(events: &[RawEvent], id: &str) -> A
where
    A: Aggregate<Event = Stamped<E>>,
    E: Event,
{
    let mut aggregate = A::default();
    for event in events {
        if event.envelope.aggregate == A::TYPE && event.envelope.id == id {
            aggregate.apply(Stamped::read(event.envelope.clone()));
        }
    }
    aggregate
}

fn ids_of_posts(events: &[RawEvent]) -> Vec<String> {
    let posts = events
        .iter()
        .filter(|event| event.envelope.aggregate == "post");
    posts.map(|event| event.envelope.id.clone()).collect()
}

/// Whether what decides says the contrary of an entry.
fn is_contradicted(entry: &FeedEntry, seen: &Seen) -> bool {
    let user = entry.user.id.0.clone();
    let decides = match entry.kind {
        Kind::Message | Kind::Moved => return false,
        Kind::Like | Kind::Unlike => seen.likes.get(&(entry.subject.clone(), user)),
        Kind::Join | Kind::Leave => seen.members.get(&(entry.group.to_string(), user)),
    };
    decides.unwrap().value.is_in != entry.kind.is_in()
}

/// What people can tell apart: not which event decided, nor a group that nobody is in.
fn visible(seen: &Seen) -> (Vec<&Message>, Vec<&Pair>, Vec<&Pair>) {
    fn within(of: &BTreeMap<Pair, Register<Declaration>>) -> Vec<&Pair> {
        let of = of.iter().filter(|(_, register)| register.value.is_in);
        of.map(|(pair, _)| pair).collect()
    }
    let messages = seen.messages.values().collect();
    (messages, within(&seen.likes), within(&seen.members))
}
