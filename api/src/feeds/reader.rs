//! One reader of a group: first reads the table up to now, then takes the shared frames. Whenever
//! those leave a gap it reads the table again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use causeway_domain::envelope::LEVEL;
use causeway_domain::hlc::Hlc;
use causeway_domain::log::ReadError;
use causeway_domain::names::{GroupName, UserId};
use causeway_domain::timeline::{
    Arrival, Checkpoint, Effect, Entry, FeedEntry, Kind, Place, Progress,
};
use causeway_domain::timelines::{Attention, Seen};
use causeway_domain::version_vector::VersionVector;
use tokio::sync::broadcast::{self, error::RecvError};

use super::Feeds;
use super::frame::{Frame, FrameMaker, Item, News};
use crate::cursor::Cursor;

/// Most entries read from the table at once: what one reader can hold in memory.
const STEP: i64 = 200;
/// A message that sorts further than this before the newest one given is announced.
const LATE_MS: u64 = 2_000;

/// Where a reader begins.
#[derive(Debug)]
pub enum Resume {
    /// With what comes from now on.
    Now,
    /// After what the cursor covers.
    After(Cursor),
    /// The cursor's key is not known: the reader must take a snapshot first.
    Reset,
}

/// One reader of a group.
pub struct Reader {
    feeds: Feeds,
    group: GroupName,
    user: UserId,
    news: broadcast::Receiver<Arc<News>>,
    _attention: Attention,
    progress: Progress,
    /// What was told is to be looked at once more, from the first entry that was not weighed.
    looks_again: bool,
    /// The newest message given.
    newest: Hlc,
    is_behind: bool,
    is_announced: bool,
    ready: VecDeque<Item>,
}

impl Reader {
    /// Opens a reader on a group.
    pub async fn open(
        feeds: &Feeds,
        group: GroupName,
        user: UserId,
        resume: Resume,
    ) -> Result<Self, ReadError> {
        // First the channel, then the checkpoint: what comes between them is in both.
        let news = feeds.subscribe(&group);
        let timelines = &feeds.0.setup.timelines;
        let checkpoint = timelines.checkpoint();
        let mut reader = Self {
            feeds: feeds.clone(),
            group,
            user,
            news,
            _attention: timelines.attend(),
            progress: Progress::after(&checkpoint),
            looks_again: false,
            newest: Hlc::default(),
            is_behind: false,
            is_announced: false,
            ready: VecDeque::new(),
        };
        match resume {
            Resume::Now => reader.announce(),
            Resume::Reset => reader.reset(),
            Resume::After(cursor) => reader.resume(&checkpoint, cursor).await?,
        }
        let given = reader.progress.given();
        let newest = timelines.newest_given(&reader.group, given).await?;
        reader.newest = newest.map_or(Hlc::default(), |position| position.hlc);
        Ok(reader)
    }

    async fn resume(&mut self, held: &Checkpoint, cursor: Cursor) -> Result<(), ReadError> {
        let timelines = self.feeds.0.setup.timelines.clone();
        let is_older = cursor.level < LEVEL;
        if is_older
            && timelines
                .has_newer_under(&self.group, cursor.level, &cursor.vector)
                .await?
        {
            self.reset();
            return Ok(());
        }
        let place = Place {
            given: cursor.vector,
            weighed: cursor.weighed,
            highest: cursor.hlc,
        };
        self.progress = Progress::resume(held, place);
        let first = timelines.first_beyond(self.progress.weighed()).await?;
        self.progress.look_from(first);
        self.is_behind = true;
        Ok(())
    }

    /// The reader starts again from the snapshot; until then it is told what is new from now on.
    fn reset(&mut self) {
        self.ready.push_back(Item::without_id("reset", "{}"));
        self.announce();
    }

    fn announce(&mut self) {
        self.is_announced = true;
        let caught_up = Item::with_id("caught_up", self.cursor(), "{}".into());
        self.ready.push_back(caught_up);
    }

    /// The cursor after all that was given.
    pub fn cursor(&self) -> String {
        let place = self.progress.place();
        self.feeds.0.setup.cursors.encode(&Cursor {
            group: Some(self.group.clone()),
            vector: place.given,
            weighed: place.weighed,
            hlc: place.highest,
            level: LEVEL,
        })
    }

    /// Tells whether nothing waits to be given at this moment.
    pub fn is_caught_up(&self) -> bool {
        self.is_announced && !self.is_behind && self.ready.is_empty() && self.news.is_empty()
    }

    /// Tells whether what it missed is still to be read from the table.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Returns the next frame; nothing when the reader was too slow or the server is stopping. May be dropped and called
    /// again without losing anything.
    pub async fn next(&mut self) -> Result<Option<Item>, ReadError> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            if self.is_behind {
                self.read_table().await?;
                continue;
            }
            match self.news.recv().await {
                Ok(news) => self.take(&news),
                // What carries no cursor cannot be read from the table: such a reader resumes.
                Err(RecvError::Lagged(_) | RecvError::Closed) => return Ok(None),
            }
        }
    }

    fn take(&mut self, news: &News) {
        match news {
            News::Notice(item) => self.ready.push_back(item.clone()),
            News::Own(items) => {
                let own = items.get(&self.user).into_iter().flatten();
                self.ready.extend(own.cloned());
            }
            News::Events { up_to, .. } if *up_to <= self.progress.at() => {}
            News::Events { after, .. } if *after > self.progress.at() => self.is_behind = true,
            News::Events { .. } if self.progress.is_ahead() => self.is_behind = true,
            News::Events {
                up_to,
                vector,
                highest,
                frames,
                ..
            } => {
                self.take_shared(frames);
                self.progress.share(*up_to, vector, *highest);
            }
        }
    }

    /// Gives frames whose cursor is what the log held.
    fn take_shared(&mut self, frames: &[Frame]) {
        let fresh: Vec<(Item, Sorted)> = frames
            .iter()
            .filter(|frame| frame.arrival > self.progress.at() && frame.effect == Effect::Shown)
            .map(|frame| (frame.item.clone(), Sorted::of_frame(frame)))
            .collect();
        self.give(fresh);
    }

    /// Reads the next entries from the table.
    async fn read_table(&mut self) -> Result<(), ReadError> {
        let hub = self.feeds.0.clone();
        let timelines = &hub.setup.timelines;
        if self.looks_again {
            let first = timelines.first_beyond(self.progress.weighed()).await?;
            self.progress.look_from(first);
            self.looks_again = false;
        }
        let target = timelines.checkpoint();
        let entries = timelines
            .group_entries(&self.group, self.progress.at(), target.arrival, STEP)
            .await?;
        let is_last = i64::try_from(entries.len()).unwrap_or(STEP) < STEP;
        self.progress.weigh(&target);
        let reached = self.progress.reached();
        let rivalled: Vec<&FeedEntry> = entries
            .iter()
            .filter(|entry| entry.has_rivals(&reached))
            .map(|entry| &entry.entry)
            .collect();
        let rivals = if rivalled.is_empty() {
            Vec::new()
        } else {
            timelines.rivals(&rivalled).await?
        };
        let messages = hub
            .messages_of(entries.iter().map(|entry| &entry.entry))
            .await?;

        // From here on nothing waits, so a reader that is dropped in between has lost nothing.
        self.give_entries(&entries, &rivals, &messages, &target.vector);
        if !is_last {
            let last = entries.last();
            self.progress
                .look_from(last.map_or(target.arrival, |last| last.entry.arrival));
            return Ok(());
        }
        if self.progress.arrive(&target) == Arrival::LookAgain {
            self.looks_again = true;
            return Ok(());
        }
        self.is_behind = false;
        if !self.is_announced {
            self.announce();
        }
        Ok(())
    }

    fn give_entries(
        &mut self,
        entries: &[Entry],
        rivals: &[Entry],
        messages: &BTreeMap<String, Seen>,
        held: &VersionVector,
    ) {
        let hub = self.feeds.0.clone();
        let knowledge = hub.setup.knowledge.borrow().clone();
        let maker = FrameMaker::new(&hub, &knowledge, held);
        let mut fresh = Vec::new();
        for entry in entries {
            let Some(kind) = self.progress.tell(entry, rivals) else {
                continue;
            };
            let entry = &entry.entry;
            let Some(data) = maker.data(entry, messages.get(&entry.subject)) else {
                continue;
            };
            let item = Item::with_id(kind.as_str(), self.cursor(), data);
            fresh.push((item, Sorted::of_entry(entry, kind)));
        }
        self.give(fresh);
    }

    /// Queues frames; before each run of messages that sort far before the newest one given, from
    /// one replica, says how many follow.
    fn give(&mut self, fresh: Vec<(Item, Sorted)>) {
        let mut runs: Vec<(Option<u16>, Vec<Item>)> = Vec::new();
        for (item, place) in fresh {
            let is_late = place.is_message && place.hlc.ms() + LATE_MS < self.newest.ms();
            let from = is_late.then_some(place.replica);
            if place.is_message {
                self.newest = self.newest.max(place.hlc);
            }
            match runs.last_mut() {
                Some((run, items)) if *run == from => items.push(item),
                _ => runs.push((from, vec![item])),
            }
        }
        for (from, items) in runs {
            if let Some(from) = from {
                let data = format!(r#"{{"count":{},"from":{from}}}"#, items.len());
                self.ready.push_back(Item::without_id("merged", data));
            }
            self.ready.extend(items);
        }
    }
}

/// What decides whether a frame is late.
struct Sorted {
    is_message: bool,
    hlc: Hlc,
    replica: u16,
}

impl Sorted {
    fn of_frame(frame: &Frame) -> Self {
        Self {
            is_message: frame.kind == Kind::Message,
            hlc: frame.position.hlc,
            replica: frame.position.replica.get(),
        }
    }

    fn of_entry(entry: &FeedEntry, kind: Kind) -> Self {
        Self {
            is_message: kind == Kind::Message,
            hlc: entry.position.hlc,
            replica: entry.position.replica.get(),
        }
    }
}
