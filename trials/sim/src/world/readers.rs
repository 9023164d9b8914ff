//! The read model and its readers: what `timelines` and `feeds` do.

use causeway_domain::rescue::Subject;
use causeway_domain::timeline::{Arrival, Effect, Entry, Kind, Progress};

use super::{Happening, World};
use crate::hits::Hit;
use crate::people::{Reader, Stay, Wrong};
use crate::table::Table;

impl World {
    pub(super) fn fold_soon(&mut self, at: usize) {
        let replica = &mut self.replicas[at];
        let life = replica.life;
        let is_behind = replica.disk.table.checkpoint.arrival < arrivals(replica.disk.rows.len());
        let Some(process) = &mut replica.process else {
            return;
        };
        if is_behind && !process.is_folding {
            process.is_folding = true;
            let in_ms = self.rng.below(15);
            self.plan(in_ms, Happening::Fold(at, life));
        }
    }

    /// Folds the next events in: those the writer has told of, some of them.
    pub(super) fn fold(&mut self, at: usize) {
        let most = self.rng.pick(&[1, 5, 1_000]);
        let replica = &mut self.replicas[at];
        let Some(process) = &mut replica.process else {
            return;
        };
        process.is_folding = false;
        if replica.away_until_ms > self.now_ms || replica.full_until_ms > self.now_ms {
            return;
        }
        let disk = &mut replica.disk;
        let told = disk.rows.len().min(places(process.writing.head().arrival));
        let first = places(disk.table.checkpoint.arrival);
        let last = told.min(first + most);
        if let Some(rows) = disk.rows.get(first..last) {
            disk.table.take(rows);
        }
        if last < told {
            self.fold_soon(at);
        }
    }

    /// One reader looks for frames, perhaps at another replica.
    pub(super) fn read(&mut self, reader: usize) {
        let in_ms = self.rng.between(30, 500);
        self.plan(in_ms, Happening::Reader(reader));
        let hops = self.rng.permille(150);
        let stay = &mut self.people.readers[reader].stay;
        if hops {
            *stay = None;
        }
        if stay.is_none() {
            let at = self.rng.index(self.size);
            self.come(reader, at);
        }
        let limit = self.rng.pick(&[1, 3, 200]);
        let shares = self.rng.permille(500);
        self.follow(reader, limit, shares);
    }

    /// A reader opens a stream with its last cursor.
    pub(crate) fn come(&mut self, number: usize, at: usize) {
        let replica = &self.replicas[at];
        if !replica.is_serving() || replica.paused_until_ms > self.now_ms {
            return;
        }
        let table = &replica.disk.table;
        let reader = &mut self.people.readers[number];
        let mut progress = Progress::resume(&table.checkpoint, reader.place.clone());
        progress.look_from(table.first_beyond(progress.weighed()));
        let is_ahead = progress.is_ahead();
        reader.stay = Some(Stay {
            at,
            progress,
            is_behind: true,
        });
        let from = table.first_beyond(reader.place.weighed.as_ref().unwrap_or(&reader.place.given));
        let held = table.checkpoint.arrival;
        self.note(format_args!(
            "reader {number} comes to {}, entries {from}..{held}, is ahead: {is_ahead}",
            at + 1
        ));
        self.hit(Hit::ReaderHopped);
        if is_ahead {
            self.hit(Hit::ReaderAhead);
        }
    }

    /// A reader takes the frames that are there: those all are given alike, or its own.
    pub(crate) fn follow(&mut self, number: usize, limit: usize, shares: bool) {
        let reader = &mut self.people.readers[number];
        let Some(mut stay) = reader.stay.take() else {
            return;
        };
        let at = stay.at;
        let table = &self.replicas[at].disk.table;
        let has_news = stay.progress.at() < table.checkpoint.arrival;
        let heard = if stay.is_behind || stay.progress.is_ahead() || (has_news && !shares) {
            read_table(reader, table, &mut stay, limit)
        } else if has_news {
            share(reader, table, &mut stay.progress)
        } else {
            Ok(false)
        };
        reader.place = stay.progress.place();
        let arrival = stay.progress.at();
        reader.stay = Some(stay);
        let told = std::mem::take(&mut reader.told);
        for (dot, kind) in told {
            self.note(format_args!("reader {number} is told {kind:?} of {dot}"));
        }
        self.note(format_args!("reader {number} stands at {arrival}"));
        match heard {
            Ok(true) => self.hit(Hit::ReaderMoved),
            Ok(false) => {}
            Err(Wrong { message, what }) => {
                let id = message.clone();
                // Numbers with two contents are another matter.
                let is_single = self.ledger.rewritten.is_empty();
                if is_single || self.ledger.is_plain(&Subject::Message { id }) {
                    self.violate(|| format!("reader {number} at {}: {what}: {message}", at + 1));
                }
            }
        }
    }
}

/// Gives the frames that are made once for all readers.
fn share(reader: &mut Reader, table: &Table, progress: &mut Progress) -> Result<bool, Wrong> {
    let mut has_moved = false;
    for Entry { entry, .. } in after(table, progress.at()) {
        if entry.group == reader.group && entry.effect == Effect::Shown {
            has_moved |= entry.kind == Kind::Moved;
            reader.hear(entry, entry.kind, table, false)?;
        }
    }
    let held = &table.checkpoint;
    let vector = std::sync::Arc::new(held.vector.clone());
    progress.share(held.arrival, &vector, held.highest);
    Ok(has_moved)
}

fn read_table(
    reader: &mut Reader,
    table: &Table,
    stay: &mut Stay,
    limit: usize,
) -> Result<bool, Wrong> {
    let progress = &mut stay.progress;
    progress.weigh(&table.checkpoint);
    let entries = after(table, progress.at()).iter();
    let of_group = entries.filter(|entry| entry.entry.group == reader.group);
    let entries: Vec<&Entry> = of_group.take(limit).collect();
    let mut has_moved = false;
    for entry in &entries {
        let rivals = if entry.has_rivals(&progress.reached()) {
            &table.feed[..]
        } else {
            &[]
        };
        let is_ahead = progress.is_ahead();
        if let Some(kind) = progress.tell(entry, rivals) {
            has_moved |= kind == Kind::Moved;
            reader.hear(&entry.entry, kind, table, is_ahead)?;
        }
    }
    stay.is_behind = entries.len() == limit;
    match entries.last() {
        Some(last) if stay.is_behind => progress.look_from(last.entry.arrival),
        _ => {
            if progress.arrive(&table.checkpoint) == Arrival::LookAgain {
                progress.look_from(table.first_beyond(progress.weighed()));
                stay.is_behind = true;
            }
        }
    }
    Ok(has_moved)
}

fn after(table: &Table, arrival: i64) -> &[Entry] {
    let first = table.feed.partition_point(|e| e.entry.arrival <= arrival);
    &table.feed[first..]
}

fn arrivals(rows: usize) -> i64 {
    i64::try_from(rows).expect("runs are short")
}

fn places(arrival: i64) -> usize {
    usize::try_from(arrival).expect("arrivals count from 1")
}
