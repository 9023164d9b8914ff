//! A reader who goes from replica to replica with a cursor ends with what the last one shows.

use std::collections::BTreeMap;

use causeway_domain::cursor::Delivery;
use causeway_domain::envelope::RawEvent;
use causeway_domain::stamp::OrderKey;
use causeway_domain::timeline::{Effect, Fate, FeedEntry, Kind, Progress};
use proptest::prelude::*;

use crate::table::Table;
use crate::world::{Act, World, choices, history, in_some_causal_order};

/// A stay at a replica: which one, how much it holds then, and at the end.
type Stay = (usize, usize, usize);

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reader_ends_with_what_the_last_replica_shows(
        events in history(),
        orders in proptest::array::uniform3(choices()),
        stays in proptest::collection::vec((0..3_usize, 0..8_usize, 0..6_usize), 1..5),
        limit in proptest::option::of(1..4_usize),
    ) {
        let logs = orders.map(|choices| in_some_causal_order(&events, &choices));
        let reader = Reader { limit, ..Reader::default() };
        let (reader, table) = journey_of(reader, &logs, &stays);

        prop_assert_eq!(reader.standings(), standings(&table));
        prop_assert_eq!(&reader.messages, &positions(&table));
        let likes = table.seen.messages.iter();
        let likes: BTreeMap<_, _> = likes.map(|(id, it)| (id.clone(), it.likes_count)).collect();
        prop_assert_eq!(&reader.likes, &likes);
        let others = |entry: &FeedEntry| {
            let about = table.feed.iter().filter(|it| (&it.subject, it.kind.is_membership()) == (&entry.subject, entry.kind.is_membership()));
            about.filter(|it| it.position.dot().origin != entry.position.dot().origin).count()
        };
        for entry in table.feed.iter().filter(|entry| others(entry) == 0) {
            let told = reader.told.iter().filter(|told| **told == entry.position).count();
            prop_assert_eq!(told, usize::from(entry.effect == Effect::Shown));
        }
    }
}

#[test]
fn a_leave_that_lost_elsewhere_does_not_undo_the_join_a_reader_was_given() {
    let [first, left, joined] = left_here_joined_there();
    let here = vec![first.clone(), joined.clone(), left.clone()];
    let there = vec![first.clone(), left.clone(), joined.clone()];

    // Two events here, then on at a replica that holds all three.
    let (reader, table) = journey(&[here, there, vec![]], &[(0, 2, 0), (1, 3, 0)]);

    assert_eq!(reader.standings(), standings(&table));
}

#[test]
fn a_join_given_before_its_replica_was_lost_counts_when_it_arrives_elsewhere() {
    let [first, left, joined] = left_here_joined_there();
    let here = vec![first.clone(), joined.clone(), left.clone()];
    let there = vec![first.clone(), left.clone(), joined.clone()];

    // As before, but the join comes only when the reader is there already.
    let (reader, table) = journey(&[here, there, vec![]], &[(0, 2, 0), (1, 2, 1)]);

    assert_eq!(reader.standings(), standings(&table));
}

#[test]
fn a_reader_learns_of_the_lower_copy_it_was_given_where_the_higher_came_first() {
    let [lower, higher] = sent_here_and_there();
    let here = vec![lower.clone(), higher.clone()];
    let there = vec![higher.clone(), lower.clone()];

    let (reader, table) = journey(&[here, there, vec![]], &[(0, 1, 0), (1, 1, 1)]);

    assert_eq!(reader.messages, positions(&table));
}

#[test]
fn a_reader_of_a_later_copy_elsewhere_is_told_the_place_of_the_earlier_one_again() {
    let mut world = World::new([0, 500, 0]);
    world.act(0, Act::Send { key: 0 });
    world.act(1, Act::Send { key: 0 });
    let like = Act::Like {
        user: 1,
        message: 0,
    };
    world.act(1, like);
    let [lower, higher, like]: [RawEvent; 3] = world.events.try_into().expect("three events");
    let (mut here, mut there) = (Table::default(), Table::default());
    here.take(&[lower, higher.clone()]);
    there.take(&[higher, like.clone()]);
    let mut reader = Reader::default();

    // The place there, which lacks the earlier copy, is what the frame of the like shows.
    reader.resume(&here);
    reader.resume(&there);
    assert_eq!(reader.messages, positions(&there));
    here.take(&[like]);
    reader.resume(&here);

    assert_eq!(reader.messages, positions(&here));
}

#[test]
fn what_a_given_join_overrules_is_not_told_again() {
    let [first, left, joined] = left_here_joined_there();
    let (mut here, mut there) = (Table::default(), Table::default());
    here.take(&[first.clone(), left.clone(), joined.clone()]);
    there.take(&[first.clone(), joined.clone()]);
    let mut reader = Reader::default();

    // The leave is given here only, the join here and there.
    reader.resume(&here);
    reader.resume(&there);
    reader.resume(&here);

    assert_eq!(reader.standings(), standings(&here));
}

/// Anna's join that all know, then her leave at one replica and, later in the order, her join at
/// another.
fn left_here_joined_there() -> [RawEvent; 3] {
    let world = leaves_here_and_joins_there([0, 0, 500]);
    world.events.try_into().expect("three events")
}

/// Anna, in the only group.
const ANNA: (u8, u8) = (0, 0);

fn leaves_here_and_joins_there(clocks_ms: [u64; 3]) -> World {
    let mut world = World::new(clocks_ms);
    world.act(0, join(ANNA));
    world.act(1, hear(0));
    world.act(2, hear(0));
    world.act(1, leave(ANNA));
    world.act(2, join(ANNA));
    world
}

/// Two copies of one message, the one lower in the order first.
fn sent_here_and_there() -> [RawEvent; 2] {
    let mut world = World::new([0, 500, 0]);
    world.act(0, Act::Send { key: 0 });
    world.act(1, Act::Send { key: 0 });
    world.events.try_into().expect("two events")
}

fn join((user, group): (u8, u8)) -> Act {
    Act::Join { user, group }
}

fn leave((user, group): (u8, u8)) -> Act {
    Act::Leave { user, group }
}

fn hear(from: usize) -> Act {
    Act::Hear { from, events: 9 }
}

/// Lets a reader stay here and there; at the last replica until it holds everything.
fn journey(logs: &[Vec<RawEvent>; 3], stays: &[Stay]) -> (Reader, Table) {
    journey_of(Reader::default(), logs, stays)
}

fn journey_of(mut reader: Reader, logs: &[Vec<RawEvent>; 3], stays: &[Stay]) -> (Reader, Table) {
    let mut tables = [Table::default(), Table::default(), Table::default()];
    let mut held = [0; 3];
    for (number, &(at, more, then)) in stays.iter().enumerate() {
        let (log, table, held) = (&logs[at], &mut tables[at], &mut held[at]);
        let come = log.len().min(*held + more);
        table.take_in_steps(&log[*held..come], &[3]);
        reader.resume(table);
        *held = come;
        let is_last = number + 1 == stays.len();
        while *held < log.len() && (*held < come + then || is_last) {
            table.take(&log[*held..=*held]);
            reader.follow(table);
            *held += 1;
        }
    }
    let (last, _, _) = stays[stays.len() - 1];
    (reader, std::mem::take(&mut tables[last]))
}

/// What one client makes of the frames it is given.
#[derive(Debug, Default)]
struct Reader {
    cursor: Delivery,
    /// Where it is now.
    stay: Option<Progress>,
    /// (kind of standing, group or message, user).
    standings: BTreeMap<(bool, String, String), bool>,
    messages: BTreeMap<String, OrderKey>,
    /// How many like each message, by the last frame about it.
    likes: BTreeMap<String, i64>,
    told: Vec<OrderKey>,
    /// What becomes of what a replica lacks.
    fate: Option<Fate>,
    /// Most frames of one call.
    limit: Option<usize>,
}

impl Reader {
    /// Comes to a replica with a cursor: is told what the cursor lacks.
    fn resume(&mut self, table: &Table) {
        let progress = Progress::resume(&table.checkpoint(), self.cursor.clone());
        self.read(table, progress);
    }

    /// Is told what has come since. Whoever is not ahead shares the frames of all.
    fn follow(&mut self, table: &Table) {
        let mut progress = self.stay.take().expect("it has come");
        if progress.is_ahead() {
            return self.read(table, progress);
        }
        for entry in table.after(progress.at()) {
            if let Some(kind) = entry.shown_as() {
                self.hear(entry, kind, table);
            }
        }
        let held = table.checkpoint();
        progress.share(held.arrival, &held.vector, held.highest);
        self.stays(progress);
    }

    /// Reads to the end. With a limit, each time anew from the cursor of the last frame.
    fn read(&mut self, table: &Table, mut progress: Progress) {
        let limit = self.limit.unwrap_or(usize::MAX);
        while self.read_some(table, &mut progress, limit) == limit {
            progress = Progress::resume(&table.checkpoint(), self.cursor.clone());
        }
        progress.arrive();
        self.stays(progress);
    }

    /// Reads until so many frames were told, and stands at the cursor of the last one. Returns how
    /// many there were.
    fn read_some(&mut self, table: &Table, progress: &mut Progress, most: usize) -> usize {
        let fate = self.fate.unwrap_or(Fate::Awaited);
        if let Some(search) = progress.begin(&table.checkpoint(), |_, _| fate) {
            let (first, last_delivered) = table.search(&search);
            progress.start(first, last_delivered);
        }
        let (entries, vectors) = (table.after(progress.at()), &table.vectors);
        let cursor = Progress::delivery;
        let told = progress.take_step(entries, &table.feed, vectors, most, cursor);
        let count = told.len();
        for told in told {
            self.hear(&entries[told.index], told.kind, table);
            assert_ne!(self.cursor, told.cursor, "a cursor stands still");
            self.cursor = told.cursor;
        }
        count
    }

    fn stays(&mut self, progress: Progress) {
        self.cursor = progress.delivery();
        self.stay = Some(progress);
    }

    fn hear(&mut self, entry: &FeedEntry, kind: Kind, table: &Table) {
        self.told.push(entry.position);
        let is_member = matches!(kind, Kind::Join | Kind::Leave);
        if !is_member {
            let message = &table.seen.messages[&entry.subject];
            self.messages.insert(message.id.clone(), message.position);
            self.likes.insert(message.id.clone(), message.likes_count);
        }
        let is_in = match kind {
            Kind::Message | Kind::Moved => return,
            Kind::Like | Kind::Join => true,
            Kind::Unlike | Kind::Leave => false,
        };
        let of = if is_member {
            entry.group.to_string()
        } else {
            entry.subject.clone()
        };
        self.standings
            .insert((is_member, of, entry.user.id.0.clone()), is_in);
    }

    fn standings(&self) -> Vec<(bool, String, String)> {
        let standings = self.standings.iter().filter(|(_, is_in)| **is_in);
        standings.map(|(pair, _)| pair.clone()).collect()
    }
}

fn standings(table: &Table) -> Vec<(bool, String, String)> {
    let mut standings = Vec::new();
    for (is_member, of) in [(false, &table.seen.likes), (true, &table.seen.members)] {
        let within = of.iter().filter(|(_, register)| register.value.is_in);
        standings.extend(within.map(|((of, user), _)| (is_member, of.clone(), user.clone())));
    }
    standings.sort();
    standings
}

fn positions(table: &Table) -> BTreeMap<String, OrderKey> {
    let messages = table.seen.messages.iter();
    messages
        .map(|(id, message)| (id.clone(), message.position))
        .collect()
}

#[test]
fn a_join_above_one_that_the_last_teller_did_not_know_is_told() {
    let mut world = leaves_here_and_joins_there([1_000, 0, 500]);
    world.act(0, join(ANNA));
    let [first, left, joined, again]: [RawEvent; 4] = world.events.try_into().expect("four events");
    let here = vec![first.clone(), joined.clone()];
    let there = vec![first.clone(), left.clone()];
    let last = vec![first, left, again, joined];

    let (reader, table) = journey(&[here, there, last], &[(0, 2, 0), (1, 2, 0), (2, 4, 0)]);

    assert_eq!(reader.standings(), standings(&table));
}

#[test]
fn what_a_frame_for_a_lost_event_contradicted_is_told_again_and_the_event_forgotten() {
    let mut world = World::new([0, 0, 0]);
    world.act(0, Act::Send { key: 0 });
    world.act(1, hear(0));
    world.act(2, hear(0));
    for (replica, user) in [(1, 0), (1, 1), (2, 1)] {
        world.act(replica, Act::Like { user, message: 0 });
    }
    let [sent, one, two, lost]: [RawEvent; 4] = world.events.try_into().expect("four events");
    let (mut here, mut there) = (Table::default(), Table::default());
    here.take(&[sent.clone(), one, two]);
    there.take(&[sent, lost]);
    let mut reader = Reader::default();
    reader.resume(&here);
    reader.resume(&there);
    assert_eq!(
        reader.likes.values().next(),
        Some(&1),
        "there it is the only one"
    );

    reader.resume(&here);
    assert_eq!(
        reader.likes.values().next(),
        Some(&1),
        "the other like may come"
    );
    reader.fate = Some(Fate::KeptBack);
    let mut waits_for_nothing = Reader {
        cursor: reader.cursor.clone(),
        ..Reader::default()
    };
    waits_for_nothing.fate = reader.fate;
    waits_for_nothing.resume(&here);
    assert_eq!(waits_for_nothing.cursor.acknowledged, None);
    assert_eq!(waits_for_nothing.cursor.delivered, reader.cursor.delivered);

    reader.fate = Some(Fate::LostBeyond(0));
    reader.resume(&here);
    assert_eq!(reader.likes.values().next(), Some(&2));
    let told = reader.told.len();
    reader.resume(&here);

    assert_eq!(reader.cursor.delivered, here.checkpoint().vector);
    assert_eq!(reader.told.len(), told, "and then nothing is told again");
}

#[test]
fn whoever_breaks_off_where_something_given_is_not_known_is_told_it_again() {
    let [first, left, joined] = left_here_joined_there();
    let (mut here, mut there, mut last) = (Table::default(), Table::default(), Table::default());
    here.take(&[first.clone(), joined.clone()]);
    there.take(&[first.clone(), left.clone()]);
    last.take(&[first.clone(), left.clone(), joined.clone()]);
    let mut reader = Reader::default();
    reader.resume(&here);

    // The cursor of the last frame, before all was looked at.
    let mut progress = Progress::resume(&there.checkpoint(), reader.cursor.clone());
    reader.read_some(&there, &mut progress, 1);
    reader.resume(&last);

    assert_eq!(reader.standings(), standings(&last));
}
