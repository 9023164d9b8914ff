//! Folds yield the same value for every causal order of the events and every step size.

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

use crate::expected::{Pair, ReadModel, expected};
use crate::table::Table;
use crate::world::{Act, World, choices, history, in_some_causal_order};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_aggregates_fold_to_the_same_value(events in history(), choices in choices()) {
        let delivered = in_some_causal_order(&events, &choices);

        for id in ["lobby", "attic"] {
            prop_assert_eq!(folded::<Group, _>(&events, id), folded::<Group, _>(&delivered, id));
        }
        for id in ids_of_posts(&events) {
            prop_assert_eq!(folded::<Post, _>(&events, &id), folded::<Post, _>(&delivered, &id));
        }
    }

    #[test]
    fn an_aggregate_ignores_repeated_events(events in history()) {
        let twice: Vec<RawEvent> = events.iter().chain(&events).cloned().collect();

        prop_assert_eq!(folded::<Group, _>(&events, "lobby"), folded::<Group, _>(&twice, "lobby"));
        for id in ids_of_posts(&events) {
            prop_assert_eq!(folded::<Post, _>(&events, &id), folded::<Post, _>(&twice, &id));
        }
    }

    #[test]
    fn the_read_model_is_the_same_in_every_causal_order(
        events in history(),
        choices in choices(),
        sizes in proptest::collection::vec(1..6_usize, 4),
    ) {
        let delivered = in_some_causal_order(&events, &choices);
        let mut table = Table::default();
        table.fold_in_steps(&delivered, &sizes);

        prop_assert_eq!(&table.model, &expected(&events));
    }

    #[test]
    fn steps_of_any_size_leave_the_same_tables(
        events in history(),
        choices in choices(),
        sizes in proptest::collection::vec(1..6_usize, 4),
    ) {
        let delivered = in_some_causal_order(&events, &choices);
        let (mut one_by_one, mut in_steps) = (Table::default(), Table::default());
        one_by_one.fold_in_steps(&delivered, &[1]);
        in_steps.fold_in_steps(&delivered, &sizes);

        prop_assert_eq!(one_by_one.feed, in_steps.feed);
        prop_assert_eq!(one_by_one.model, in_steps.model);
    }

    #[test]
    fn the_feed_has_the_effect_of_each_event(events in history(), choices in choices()) {
        let delivered = in_some_causal_order(&events, &choices);
        let mut table = Table::default();
        for event in delivered {
            let before = table.model.clone();
            table.fold_step(&[event]);

            let (entry, after) = (table.feed.last().unwrap(), &table.model);
            let effect = if visible(after) != visible(&before) {
                Effect::Shown
            } else if (&after.likes, &after.members) != (&before.likes, &before.members) {
                Effect::Won
            } else if is_overruled(entry, after) {
                Effect::Overruled
            } else {
                Effect::Lost
            };
            prop_assert_eq!(entry.effect, effect);
            if matches!(entry.kind, Kind::Message | Kind::Moved) && effect == Effect::Shown {
                let was_known = before.messages.contains_key(&entry.subject);
                prop_assert_eq!(entry.kind == Kind::Moved, was_known);
            }
        }
    }
}

#[test]
fn the_vectors_of_the_log_are_stored_at_the_same_offsets_for_all_step_sizes() {
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
        table.fold_in_steps(&world.events, &sizes);

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

    table.fold_step(std::slice::from_ref(higher));
    table.fold_step(&[one.clone(), lower.clone(), other.clone()]);

    let [message] = &table.model.messages.values().collect::<Vec<_>>()[..] else {
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

/// Whether a register holds the opposite of an entry.
fn is_overruled(entry: &FeedEntry, model: &ReadModel) -> bool {
    let user = entry.user.id.0.clone();
    let register = match entry.kind {
        Kind::Message | Kind::Moved => return false,
        Kind::Like | Kind::Unlike => model.likes.get(&(entry.subject.clone(), user)),
        Kind::Join | Kind::Leave => model.members.get(&(entry.group.to_string(), user)),
    };
    register.unwrap().value.is_in != entry.kind.is_in()
}

/// The visible part of a read model: neither the event behind a value nor empty groups.
fn visible(model: &ReadModel) -> (Vec<&Message>, Vec<&Pair>, Vec<&Pair>) {
    fn within(of: &BTreeMap<Pair, Register<Declaration>>) -> Vec<&Pair> {
        let of = of.iter().filter(|(_, register)| register.value.is_in);
        of.map(|(pair, _)| pair).collect()
    }
    let messages = model.messages.values().collect();
    (messages, within(&model.likes), within(&model.members))
}
