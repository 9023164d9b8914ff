//! One reader of a group: reads the table up to now, then takes the shared frames. Whenever those
//! leave a gap it reads the table again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use causeway_domain::envelope::LEVEL;
use causeway_domain::hlc::Hlc;
use causeway_domain::names::{GroupName, UserId};
use causeway_domain::timeline::{
    Checkpoint, FeedEntry, Framed, Kind, Message, Progress, is_overtaken,
};
use causeway_store::log::ReadError;
use causeway_store::timelines::Attention;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use crate::cursor::Cursor;

use super::Feeds;
use super::frame::{EventFrame, Frame, FrameMaker, Update};
use super::shapes::MergedBody;

/// Most entries read from the table at once, which bounds the memory of one reader.
const STEP: i64 = 200;
/// How often a reader who was delivered more elsewhere checks whether this replica has caught up.
const IDLE_CHECK: Duration = Duration::from_secs(1);
/// After so many checks without an event it asks whether the missing ones can still come.
const MAX_IDLE_CHECKS: u32 = 10;
/// A message that sorts further than this before the newest one delivered is announced as merged.
const LATE_MS: u64 = 2_000;

/// Where a reader starts.
#[derive(Debug)]
pub enum Resume {
    /// With the events from now on.
    Now,
    /// After the events that the cursor covers.
    After(Cursor),
    /// The cursor's key is not known: the reader must take a snapshot first.
    Reset,
}

/// One reader of a group.
pub struct Reader {
    feeds: Feeds,
    group: GroupName,
    user: UserId,
    updates: broadcast::Receiver<Arc<Update>>,
    _attention: Attention,
    progress: Progress,
    /// The clock reading of the newest message delivered.
    newest: Hlc,
    /// Most frames made from the table at once.
    max_frames: usize,
    /// How many checks in a row found nothing of what is missing here.
    idle_checks: u32,
    is_behind: bool,
    was_caught_up: bool,
    /// The first frame about presence, until the reader has caught up.
    presence: Option<Frame>,
    queue: VecDeque<Frame>,
}

impl Reader {
    /// Opens a reader on a group. At most `max_frames` frames are made from the table at once.
    pub async fn open(
        feeds: &Feeds,
        group: GroupName,
        user: UserId,
        resume: Resume,
        max_frames: usize,
    ) -> Result<Self, ReadError> {
        // First the channel, then the checkpoint: an event between the two is then in both.
        let (updates, presence) = feeds.subscribe(&group);
        let timelines = &feeds.0.setup.timelines;
        let checkpoint = timelines.checkpoint();
        let mut reader = Self {
            feeds: feeds.clone(),
            group,
            user,
            updates,
            _attention: timelines.attend(),
            progress: Progress::after(&checkpoint),
            newest: Hlc::default(),
            max_frames,
            idle_checks: 0,
            is_behind: false,
            was_caught_up: false,
            presence,
            queue: VecDeque::new(),
        };
        match resume {
            Resume::Now => reader.announce(),
            Resume::Reset => reader.reset(),
            Resume::After(cursor) => reader.resume(&checkpoint, cursor).await?,
        }
        let delivered = reader.progress.delivered();
        let newest = timelines.newest_covered(&reader.group, delivered).await?;
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

    /// Makes the client take a snapshot; until it resumes it gets the events from now on.
    fn reset(&mut self) {
        self.queue.push_back(Frame::without_id("reset", "{}"));
        self.announce();
    }

    fn announce(&mut self) {
        self.was_caught_up = true;
        let caught_up = Frame::with_id("caught_up", self.cursor(), "{}".into());
        self.queue.push_back(caught_up);
        // Updates are taken only after this.
        self.queue.extend(self.presence.take());
    }

    /// Returns the cursor after everything delivered.
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

    /// Whether nothing waits to be delivered at this moment.
    pub fn is_caught_up(&self) -> bool {
        self.was_caught_up && !self.is_behind && self.queue.is_empty() && self.updates.is_empty()
    }

    /// Whether no frame is queued.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next queued frame.
    pub fn peek(&self) -> Option<&Frame> {
        self.queue.front()
    }

    /// Whether the table is still to be read.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Returns the next frame; `None` when the reader lags or the server is stopping. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Frame>, ReadError> {
        loop {
            if let Some(frame) = self.queue.pop_front() {
                return Ok(Some(frame));
            }
            if self.is_behind {
                self.read_table().await?;
                continue;
            }
            match self.next_update().await {
                Some(Ok(update)) => self.apply(&update),
                // Frames without a cursor cannot be read from the table: this reader has to resume.
                Some(Err(RecvError::Lagged(_) | RecvError::Closed)) => return Ok(None),
                // Events of other groups send no update here, nor does the news that an event is
                // lost; either may be all that this reader waits for.
                None => {
                    let held = self.feeds.0.setup.timelines.checkpoint();
                    self.idle_checks += 1;
                    self.is_behind =
                        held.offset > self.progress.at() || self.idle_checks >= MAX_IDLE_CHECKS;
                }
            }
        }
    }

    /// Waits for an update of the group. Where the reader is ahead, `None` when it is time to check.
    async fn next_update(&mut self) -> Option<Result<Arc<Update>, RecvError>> {
        if !self.progress.is_ahead() {
            return Some(self.updates.recv().await);
        }
        timeout(IDLE_CHECK, self.updates.recv()).await.ok()
    }

    fn apply(&mut self, update: &Update) {
        match update {
            Update::Notice(frame) => self.queue.push_back(frame.clone()),
            Update::PerUser(frames) => {
                let own = frames.get(&self.user).into_iter().flatten();
                self.queue.extend(own.cloned());
            }
            Update::Events { up_to, .. } if *up_to <= self.progress.at() => {}
            Update::Events { after, .. } if *after > self.progress.at() => self.is_behind = true,
            Update::Events { .. } if self.progress.is_ahead() => self.is_behind = true,
            Update::Events {
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

    /// Queues those shared frames that the reader does not have.
    fn take_shared(&mut self, events: &[EventFrame]) {
        let fresh: Vec<(Frame, SortKey)> = events
            .iter()
            .filter(|event| event.offset > self.progress.at())
            .map(|event| (event.frame.clone(), SortKey::of_frame(event)))
            .collect();
        self.enqueue(fresh);
    }

    /// Reads the next entries from the table. Cancel safe: the reader changes after the last `await`.
    pub async fn read_table(&mut self) -> Result<(), ReadError> {
        let hub = self.feeds.0.clone();
        let timelines = &hub.setup.timelines;
        let _turn = timelines.turn_to_read(&self.user).await?;
        let knowledge = hub.setup.knowledge.borrow().clone();
        let target = timelines.checkpoint();
        let mut progress = self.progress.clone();
        let fate_of = |origin, highest| knowledge.fate_of(origin, highest, &target.vector);
        if let Some(search) = progress.begin(&target, fate_of) {
            let (first, last_delivered) = timelines.search(&search).await?;
            progress.start(first, last_delivered);
        }
        let after = progress.at();
        let entries = timelines.group_entries(&self.group, after, target.offset, STEP);
        let (mut entries, has_more) = entries.await?;
        let rivals = self.rivals(&progress, &entries).await?;
        let vectors = timelines.vectors_of(after, &entries).await?;

        let cursor = |progress: &Progress| self.cursor_of(progress);
        let deliveries = progress.take_step(&entries, &rivals, &vectors, self.max_frames, cursor);
        let taken = entries.partition_point(|entry| entry.offset <= progress.at());
        let is_last = !has_more && taken == entries.len();
        entries.truncate(taken);
        let maker = FrameMaker::new(&hub, &knowledge, &target.vector);
        let fresh = self.frames(&maker, &progress, &entries, deliveries, is_last);
        let fresh = fresh.await?;
        if is_last {
            progress.arrive();
        }
        self.progress = progress;
        self.idle_checks = 0;
        self.enqueue(fresh);
        if is_last {
            self.is_behind = false;
            if !self.was_caught_up {
                self.announce();
            }
        }
        Ok(())
    }

    /// Makes the frames for the entries of a step that are to be delivered.
    async fn frames(
        &self,
        maker: &FrameMaker<'_>,
        progress: &Progress,
        entries: &[FeedEntry],
        deliveries: Vec<Framed<String>>,
        is_last: bool,
    ) -> Result<Vec<(Frame, SortKey)>, ReadError> {
        let hub = &self.feeds.0;
        let subjects = deliveries.iter().map(|delivery| &entries[delivery.index]);
        let messages = hub.messages_of(subjects).await?;
        let has_more = !is_last && progress.is_sure();
        let has_more = has_more && messages.values().any(|seen| maker.is_settled(seen));
        let beyond = if has_more {
            let lowest = hub.setup.timelines.lowest_after(progress.at());
            lowest.await?
        } else {
            None
        };
        let mut fresh = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let (entry, kind) = (&entries[delivery.index], delivery.kind);
            let is_overtaken = |message: &Message| {
                let later = entries[delivery.index + 1..].iter();
                !progress.is_sure() || is_overtaken(message, later, beyond)
            };
            let message = messages.get(&entry.subject);
            let Some(data) = maker.data(entry, kind, message, is_overtaken) else {
                continue;
            };
            let frame = Frame::with_id(kind.as_str(), delivery.cursor, data);
            fresh.push((frame, SortKey::of_entry(entry, kind)));
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

    /// Queues frames. Before each run of messages of one replica that sort far before the newest one
    /// delivered, queues a frame that says how many follow.
    fn enqueue(&mut self, fresh: Vec<(Frame, SortKey)>) {
        let mut runs: Vec<(Option<u16>, Vec<Frame>)> = Vec::new();
        for (frame, sort_key) in fresh {
            let is_late = sort_key.is_message && sort_key.hlc.ms() + LATE_MS < self.newest.ms();
            let from = is_late.then_some(sort_key.replica);
            if sort_key.is_message {
                self.newest = self.newest.max(sort_key.hlc);
            }
            match runs.last_mut() {
                Some((run, frames)) if *run == from => frames.push(frame),
                _ => runs.push((from, vec![frame])),
            }
        }
        for (from, frames) in runs {
            if let Some(from) = from {
                let count = frames.len();
                let merged = serde_json::to_string(&MergedBody { count, from });
                let data = merged.expect("frames have only text keys");
                self.queue.push_back(Frame::without_id("merged", data));
            }
            self.queue.extend(frames);
        }
    }
}

/// Where a frame sorts, which decides whether it is late.
struct SortKey {
    is_message: bool,
    hlc: Hlc,
    replica: u16,
}

impl SortKey {
    fn of_frame(event: &EventFrame) -> Self {
        Self {
            is_message: event.kind == Kind::Message,
            hlc: event.position.hlc,
            replica: event.position.replica.get(),
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
