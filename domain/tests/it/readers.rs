//! A reader who moves from replica to replica with a cursor ends with the state of the last one.

use std::collections::BTreeMap;

use causeway_domain::cursor::Delivery;
use causeway_domain::envelope::RawEvent;
use causeway_domain::stamp::OrderKey;
use causeway_domain::timeline::{Effect, Fate, FeedEntry, Kind, Progress};
use proptest::prelude::*;

use crate::table::Table;
use crate::world::{Act, World, choices, history, in_some_causal_order};

/// A visit to a replica: its index, the events it receives before the visit, and during it.
type Visit = (usize, usize, usize);

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reader_ends_with_what_the_last_replica_shows(
        events in history(),
        orders in proptest::array::uniform3(choices()),
        visits in proptest::collection::vec((0..3_usize, 0..8_usize, 0..6_usize), 1..5),
        limit in proptest::option::of(1..4_usize),
    ) {
        let logs = orders.map(|choices| in_some_causal_order(&events, &choices));
        let reader = Reader { limit, ..Reader::default() };
        let (reader, table) = journey_of(reader, &logs, &visits);

        prop_assert_eq!(reader.declarations(), declarations(&table));
        prop_assert_eq!(&reader.messages, &positions(&table));
        let likes = table.model.messages.iter();
        let likes: BTreeMap<_, _> = likes.map(|(id, it)| (id.clone(), it.likes_count)).collect();
        prop_assert_eq!(&reader.likes, &likes);
        let others = |entry: &FeedEntry| {
            let is_same_object = |it: &&FeedEntry| {
                let (left, right) = (it.kind.is_membership(), entry.kind.is_membership());
                it.subject == entry.subject && left == right
            };
            let about = table.feed.iter().filter(is_same_object);
            about.filter(|it| it.position.dot().origin != entry.position.dot().origin).count()
        };
        for entry in table.feed.iter().filter(|entry| others(entry) == 0) {
            let frames = reader.frames.iter().filter(|frame| **frame == entry.position).count();
            prop_assert_eq!(frames, usize::from(entry.effect == Effect::Shown));
        }
    }
}

#[test]
fn a_leave_that_lost_elsewhere_does_not_undo_a_delivered_join() {
    let [first, left, joined] = left_here_joined_there();
    let here = vec![first.clone(), joined.clone(), left.clone()];
    let there = vec![first.clone(), left.clone(), joined.clone()];

    // The reader receives two events here, then moves to a replica that holds all three.
    let (reader, table) = journey(&[here, there, vec![]], &[(0, 2, 0), (1, 3, 0)]);

    assert_eq!(reader.declarations(), declarations(&table));
}

#[test]
fn a_delivered_join_counts_when_another_replica_receives_it_later() {
    let [first, left, joined] = left_here_joined_there();
    let here = vec![first.clone(), joined.clone(), left.clone()];
    let there = vec![first.clone(), left.clone(), joined.clone()];

    // As before, but the second replica receives the join only during the visit.
    let (reader, table) = journey(&[here, there, vec![]], &[(0, 2, 0), (1, 2, 1)]);

    assert_eq!(reader.declarations(), declarations(&table));
}

#[test]
fn a_reader_of_the_lower_copy_keeps_its_position_where_the_higher_one_is_first() {
    let [lower, higher] = sent_here_and_there();
    let here = vec![lower.clone(), higher.clone()];
    let there = vec![higher.clone(), lower.clone()];

    let (reader, table) = journey(&[here, there, vec![]], &[(0, 1, 0), (1, 1, 1)]);

    assert_eq!(reader.messages, positions(&table));
}

#[test]
fn the_position_of_the_lower_copy_is_shown_again_after_a_frame_with_the_higher_one() {
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
    here.fold_step(&[lower, higher.clone()]);
    there.fold_step(&[higher, like.clone()]);
    let mut reader = Reader::default();

    // The second replica lacks the lower copy, so its frame shows the position of the higher one.
    reader.resume(&here);
    reader.resume(&there);
    assert_eq!(reader.messages, positions(&there));
    here.fold_step(&[like]);
    reader.resume(&here);

    assert_eq!(reader.messages, positions(&here));
}

#[test]
fn an_event_that_a_delivered_join_overrules_is_not_shown_again() {
    let [first, left, joined] = left_here_joined_there();
    let (mut here, mut there) = (Table::default(), Table::default());
    here.fold_step(&[first.clone(), left.clone(), joined.clone()]);
    there.fold_step(&[first.clone(), joined.clone()]);
    let mut reader = Reader::default();

    // Only the first replica delivers the leave; both deliver the join.
    reader.resume(&here);
    reader.resume(&there);
    reader.resume(&here);

    assert_eq!(reader.declarations(), declarations(&here));
}

/// Anna's join, which all replicas hold, then her leave at one replica and, higher in the order,
/// her join at another.
fn left_here_joined_there() -> [RawEvent; 3] {
    let world = leaves_here_and_joins_there([0, 0, 500]);
    world.events.try_into().expect("three events")
}

/// Anna, in the only group.
const ANNA: (u8, u8) = (0, 0);

fn leaves_here_and_joins_there(clocks_ms: [u64; 3]) -> World {
    let mut world = World::new(clocks_ms);
    world.act(0, join(ANNA));
    world.act(1, receive(0));
    world.act(2, receive(0));
    world.act(1, leave(ANNA));
    world.act(2, join(ANNA));
    world
}

/// Two copies of one message, the lower one first.
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

fn receive(from: usize) -> Act {
    Act::Receive { from, events: 9 }
}

/// Lets a reader visit replicas; the last visit lasts until the replica holds everything.
fn journey(logs: &[Vec<RawEvent>; 3], visits: &[Visit]) -> (Reader, Table) {
    journey_of(Reader::default(), logs, visits)
}

fn journey_of(mut reader: Reader, logs: &[Vec<RawEvent>; 3], visits: &[Visit]) -> (Reader, Table) {
    let mut tables = [Table::default(), Table::default(), Table::default()];
    let mut held = [0; 3];
    for (number, &(at, more, then)) in visits.iter().enumerate() {
        let (log, table, held) = (&logs[at], &mut tables[at], &mut held[at]);
        let come = log.len().min(*held + more);
        table.fold_in_steps(&log[*held..come], &[3]);
        reader.resume(table);
        *held = come;
        let is_last = number + 1 == visits.len();
        while *held < log.len() && (*held < come + then || is_last) {
            table.fold_step(&log[*held..=*held]);
            reader.follow(table);
            *held += 1;
        }
    }
    let (last, _, _) = visits[visits.len() - 1];
    (reader, std::mem::take(&mut tables[last]))
}

/// One client's state, built from the frames it receives.
#[derive(Debug, Default)]
struct Reader {
    cursor: Delivery,
    /// The progress at the current replica.
    progress: Option<Progress>,
    /// (whether it is a membership, group or message, user).
    declarations: BTreeMap<(bool, String, String), bool>,
    messages: BTreeMap<String, OrderKey>,
    /// Like counts of the messages, from the last frame about each.
    likes: BTreeMap<String, i64>,
    /// The order keys of the entries that were shown.
    frames: Vec<OrderKey>,
    /// The fate of the events that a replica lacks.
    fate: Option<Fate>,
    /// Maximum number of frames per call.
    limit: Option<usize>,
}

impl Reader {
    /// Resumes at a replica: receives the events beyond the cursor.
    fn resume(&mut self, table: &Table) {
        let progress = Progress::resume(&table.checkpoint(), self.cursor.clone());
        self.read(table, progress);
    }

    /// Receives new events. A reader who is not ahead receives the shared frames.
    fn follow(&mut self, table: &Table) {
        let mut progress = self.progress.take().expect("the reader has resumed here");
        if progress.is_ahead() {
            return self.read(table, progress);
        }
        for entry in table.after(progress.at()) {
            if let Some(kind) = entry.shown_as() {
                self.receive(entry, kind, table);
            }
        }
        let held = table.checkpoint();
        progress.share(held.offset, &held.vector, held.highest);
        self.save(progress);
    }

    /// Reads to the end. With a limit, each call resumes from the cursor of the last frame.
    fn read(&mut self, table: &Table, mut progress: Progress) {
        let limit = self.limit.unwrap_or(usize::MAX);
        while self.read_some(table, &mut progress, limit) == limit {
            progress = Progress::resume(&table.checkpoint(), self.cursor.clone());
        }
        progress.arrive();
        self.save(progress);
    }

    /// Reads at most `most` frames and keeps the cursor of the last one. Returns the number of
    /// frames.
    fn read_some(&mut self, table: &Table, progress: &mut Progress, most: usize) -> usize {
        let fate = self.fate.unwrap_or(Fate::Awaited);
        if let Some(search) = progress.begin(&table.checkpoint(), |_, _| fate) {
            let (first, last_delivered) = table.search(&search);
            progress.start(first, last_delivered);
        }
        let (entries, vectors) = (table.after(progress.at()), &table.vectors);
        let cursor = Progress::delivery;
        let frames = progress.take_step(entries, &table.feed, vectors, most, cursor);
        let count = frames.len();
        for frame in frames {
            self.receive(&entries[frame.index], frame.kind, table);
            assert_ne!(self.cursor, frame.cursor, "the cursor did not advance");
            self.cursor = frame.cursor;
        }
        count
    }

    fn save(&mut self, progress: Progress) {
        self.cursor = progress.delivery();
        self.progress = Some(progress);
    }

    fn receive(&mut self, entry: &FeedEntry, kind: Kind, table: &Table) {
        self.frames.push(entry.position);
        let is_member = matches!(kind, Kind::Join | Kind::Leave);
        if !is_member {
            let message = &table.model.messages[&entry.subject];
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
        self.declarations
            .insert((is_member, of, entry.user.id.0.clone()), is_in);
    }

    fn declarations(&self) -> Vec<(bool, String, String)> {
        let declarations = self.declarations.iter().filter(|(_, is_in)| **is_in);
        declarations.map(|(pair, _)| pair.clone()).collect()
    }
}

fn declarations(table: &Table) -> Vec<(bool, String, String)> {
    let mut declarations = Vec::new();
    for (is_member, of) in [(false, &table.model.likes), (true, &table.model.members)] {
        let within = of.iter().filter(|(_, register)| register.value.is_in);
        declarations.extend(within.map(|((of, user), _)| (is_member, of.clone(), user.clone())));
    }
    declarations.sort();
    declarations
}

fn positions(table: &Table) -> BTreeMap<String, OrderKey> {
    let messages = table.model.messages.iter();
    messages
        .map(|(id, message)| (id.clone(), message.position))
        .collect()
}

#[test]
fn a_join_above_one_that_the_previous_replica_lacked_is_shown() {
    let mut world = leaves_here_and_joins_there([1_000, 0, 500]);
    world.act(0, join(ANNA));
    let [first, left, joined, again]: [RawEvent; 4] = world.events.try_into().expect("four events");
    let here = vec![first.clone(), joined.clone()];
    let there = vec![first.clone(), left.clone()];
    let last = vec![first, left, again, joined];

    let (reader, table) = journey(&[here, there, last], &[(0, 2, 0), (1, 2, 0), (2, 4, 0)]);

    assert_eq!(reader.declarations(), declarations(&table));
}

#[test]
fn an_object_shown_with_a_lost_event_is_shown_again_and_the_event_is_forgotten() {
    let mut world = World::new([0, 0, 0]);
    world.act(0, Act::Send { key: 0 });
    world.act(1, receive(0));
    world.act(2, receive(0));
    for (replica, user) in [(1, 0), (1, 1), (2, 1)] {
        world.act(replica, Act::Like { user, message: 0 });
    }
    let [sent, one, two, lost]: [RawEvent; 4] = world.events.try_into().expect("four events");
    let (mut here, mut there) = (Table::default(), Table::default());
    here.fold_step(&[sent.clone(), one, two]);
    there.fold_step(&[sent, lost]);
    let mut reader = Reader::default();
    reader.resume(&here);
    reader.resume(&there);
    assert_eq!(
        reader.likes.values().next(),
        Some(&1),
        "the second replica holds one like"
    );

    reader.resume(&here);
    assert_eq!(
        reader.likes.values().next(),
        Some(&1),
        "the lost like is still awaited"
    );
    reader.fate = Some(Fate::KeptBack);
    let mut not_awaiting = Reader {
        cursor: reader.cursor.clone(),
        ..Reader::default()
    };
    not_awaiting.fate = reader.fate;
    not_awaiting.resume(&here);
    assert_eq!(not_awaiting.cursor.acknowledged, None);
    assert_eq!(not_awaiting.cursor.delivered, reader.cursor.delivered);

    reader.fate = Some(Fate::LostBeyond(0));
    reader.resume(&here);
    assert_eq!(reader.likes.values().next(), Some(&2));
    let frames = reader.frames.len();
    reader.resume(&here);

    assert_eq!(reader.cursor.delivered, here.checkpoint().vector);
    assert_eq!(reader.frames.len(), frames, "nothing is shown again");
}

#[test]
fn a_reader_who_stops_at_a_replica_that_lacks_a_delivered_event_is_shown_it_again() {
    let [first, left, joined] = left_here_joined_there();
    let (mut here, mut there, mut last) = (Table::default(), Table::default(), Table::default());
    here.fold_step(&[first.clone(), joined.clone()]);
    there.fold_step(&[first.clone(), left.clone()]);
    last.fold_step(&[first.clone(), left.clone(), joined.clone()]);
    let mut reader = Reader::default();
    reader.resume(&here);

    // The cursor of a frame before the end of the step.
    let mut progress = Progress::resume(&there.checkpoint(), reader.cursor.clone());
    reader.read_some(&there, &mut progress, 1);
    reader.resume(&last);

    assert_eq!(reader.declarations(), declarations(&last));
}
