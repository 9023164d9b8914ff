//! One reader of a group: first reads the table up to now, then takes the shared frames. Whenever
//! those leave a gap it reads the table again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use causeway_domain::envelope::LEVEL;
use causeway_domain::hlc::Hlc;
use causeway_domain::names::{GroupName, UserId};
use causeway_domain::timeline::{
    Checkpoint, FeedEntry, Kind, Message, Progress, Told, is_overtaken,
};
use causeway_store::log::ReadError;
use causeway_store::timelines::Attention;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use crate::cursor::Cursor;

use super::Feeds;
use super::frame::{Frame, FrameMaker, Item, News};
use super::shapes::MergedBody;

/// Most entries read from the table at once: what one reader can hold in memory.
const STEP: i64 = 200;
/// How often a reader who was delivered more elsewhere looks whether this replica has got any of it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// After so many looks in vain it asks whether that can still come.
const MOST_LOOKS: u32 = 10;
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
    /// The newest message given.
    newest: Hlc,
    /// Most frames made from the table at once.
    most: usize,
    /// How often it has looked in vain for what is missing here.
    looks: u32,
    is_behind: bool,
    is_announced: bool,
    ready: VecDeque<Item>,
}

impl Reader {
    /// Opens a reader on a group, who takes at most so many frames at a time.
    pub async fn open(
        feeds: &Feeds,
        group: GroupName,
        user: UserId,
        resume: Resume,
        most: usize,
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
            newest: Hlc::default(),
            most,
            looks: 0,
            is_behind: false,
            is_announced: false,
            ready: VecDeque::new(),
        };
        match resume {
            Resume::Now => reader.announce(),
            Resume::Reset => reader.reset(),
            Resume::After(cursor) => reader.resume(&checkpoint, cursor).await?,
        }
        let delivered = reader.progress.delivered();
        let newest = timelines.newest_given(&reader.group, delivered).await?;
        reader.newest = newest.map_or(Hlc::default(), |position| position.hlc);
        Ok(reader)
    }

    async fn resume(&mut self, held: &Arc<Checkpoint>, cursor: Cursor) -> Result<(), ReadError> {
        let timelines = &self.feeds.0.setup.timelines;
        let is_older = cursor.level < LEVEL;
        if is_older
            && timelines
                .has_newer_under(&self.group, cursor.level, &cursor.delivery.delivered)
                .await?
        {
            self.reset();
            return Ok(());
        }
        self.progress = Progress::resume(held, cursor.delivery);
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
        self.cursor_of(&self.progress)
    }

    fn cursor_of(&self, progress: &Progress) -> String {
        self.feeds.0.setup.cursors.encode(&Cursor {
            group: Some(self.group.clone()),
            level: LEVEL,
            delivery: progress.delivery(),
        })
    }

    /// Tells whether nothing waits to be given at this moment.
    pub fn is_caught_up(&self) -> bool {
        self.is_announced && !self.is_behind && self.ready.is_empty() && self.news.is_empty()
    }

    /// Tells whether everything that was made ready was taken.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
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
            match self.next_news().await {
                Some(Ok(news)) => self.take(&news),
                // What carries no cursor cannot be read from the table: such a reader resumes.
                Some(Err(RecvError::Lagged(_) | RecvError::Closed)) => return Ok(None),
                // The group is not told of what other groups write, nor of what turns out to be
                // lost, and that may be all that this reader waits for.
                None => {
                    let held = self.feeds.0.setup.timelines.checkpoint();
                    self.looks += 1;
                    self.is_behind = held.arrival > self.progress.at() || self.looks >= MOST_LOOKS;
                }
            }
        }
    }

    /// Waits for news of the group; in vain for some time only where the reader is ahead.
    async fn next_news(&mut self) -> Option<Result<Arc<News>, RecvError>> {
        if !self.progress.is_ahead() {
            return Some(self.news.recv().await);
        }
        timeout(LOOK_AGAIN, self.news.recv()).await.ok()
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
            .filter(|frame| frame.arrival > self.progress.at())
            .map(|frame| (frame.item.clone(), Sorted::of_frame(frame)))
            .collect();
        self.give(fresh);
    }

    /// Reads the next entries from the table. What was read is taken in at the end, where nothing
    /// waits any more: a reader that is dropped in between has lost nothing.
    pub async fn read_table(&mut self) -> Result<(), ReadError> {
        let hub = self.feeds.0.clone();
        let timelines = &hub.setup.timelines;
        let knowledge = hub.setup.knowledge.borrow().clone();
        let target = timelines.checkpoint();
        let mut progress = self.progress.clone();
        let fate_of = |origin, highest| knowledge.fate_of(origin, highest, &target.vector);
        if let Some(search) = progress.begin(&target, fate_of) {
            let (first, last_delivered) = timelines.search(&search).await?;
            progress.start(first, last_delivered);
        }
        let after = progress.at();
        let mut entries = timelines
            .group_entries(&self.group, after, target.arrival, STEP)
            .await?;
        let is_full = i64::try_from(entries.len()).is_ok_and(|read| read == STEP);
        let rivals = self.rivals(&progress, &entries).await?;
        let vectors = timelines.vectors_of(after, &entries).await?;

        let cursor = |progress: &Progress| self.cursor_of(progress);
        let told = progress.take_step(&entries, &rivals, &vectors, self.most, cursor);
        let taken = entries.partition_point(|entry| entry.arrival <= progress.at());
        let is_last = !is_full && taken == entries.len();
        entries.truncate(taken);
        let maker = FrameMaker::new(&hub, &knowledge, &target.vector);
        let fresh = self.frames(&maker, &progress, &entries, told, is_last);
        let fresh = fresh.await?;
        if is_last {
            progress.arrive();
        }
        self.progress = progress;
        self.looks = 0;
        self.give(fresh);
        if is_last {
            self.is_behind = false;
            if !self.is_announced {
                self.announce();
            }
        }
        Ok(())
    }

    /// Makes the frames of a step that was taken in.
    async fn frames(
        &self,
        maker: &FrameMaker<'_>,
        progress: &Progress,
        entries: &[FeedEntry],
        told: Vec<Told<String>>,
        is_last: bool,
    ) -> Result<Vec<(Item, Sorted)>, ReadError> {
        let hub = &self.feeds.0;
        let subjects = told.iter().map(|told| &entries[told.index]);
        let messages = hub.messages_of(subjects).await?;
        let has_more = !is_last && progress.is_sure();
        let has_more = has_more && messages.values().any(|seen| maker.is_settled(seen));
        let beyond = if has_more {
            let lowest = hub.setup.timelines.lowest_after(progress.at());
            lowest.await?
        } else {
            None
        };
        let mut fresh = Vec::with_capacity(told.len());
        for told in told {
            let (entry, kind) = (&entries[told.index], told.kind);
            let is_overtaken = |message: &Message| {
                let later = entries[told.index + 1..].iter();
                !progress.is_sure() || is_overtaken(message, later, beyond)
            };
            let message = messages.get(&entry.subject);
            let Some(data) = maker.data(entry, kind, message, is_overtaken) else {
                continue;
            };
            let item = Item::with_id(kind.as_str(), told.cursor, data);
            fresh.push((item, Sorted::of_entry(entry, kind)));
        }
        Ok(fresh)
    }

    async fn rivals(
        &self,
        progress: &Progress,
        entries: &[FeedEntry],
    ) -> Result<Vec<FeedEntry>, ReadError> {
        let asked = entries.iter().filter(|entry| progress.needs_rivals(entry));
        let asked: Vec<&FeedEntry> = asked.collect();
        let rechecked = asked.iter().copied();
        let rechecked = rechecked.filter(|entry| progress.is_to_be_rechecked(entry));
        let rechecked: Vec<&FeedEntry> = rechecked.collect();
        let timelines = &self.feeds.0.setup.timelines;
        timelines.rivals(&asked, &rechecked, progress.at()).await
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
                let count = items.len();
                let merged = serde_json::to_string(&MergedBody { count, from });
                let data = merged.expect("frames have only text keys");
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
