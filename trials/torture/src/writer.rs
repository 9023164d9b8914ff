//! A user who writes: posts with keys and retries at other replicas, likes, joins, leaves, and
//! checks session guarantees. It records observations and reports only violations that are evident
//! at once.

mod page;
mod post;
mod standing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;

use crate::history::{Event, History};
use crate::rng::Rng;
use crate::user::{Answer, User};

use self::page::Page;
use self::post::Post;

/// How long a write is retried at any replica before its outcome counts as unknown.
const PATIENCE: Duration = Duration::from_secs(12);
/// How long a client receives `behind` before it drops its marks.
const BEHIND: Duration = Duration::from_secs(10);

/// A user who writes.
pub struct Writer {
    user: User,
    history: Arc<History>,
    rng: Rng,
    group: String,
    home: u16,
    /// The number of posts, which makes every text unique.
    number: u64,
    /// The mark of the last post.
    posted_mark: Option<String>,
    /// The mark of the last like, unlike, join or leave.
    standing_mark: Option<String>,
    /// Incremented whenever marks are dropped.
    chain: u64,
    behind_since: Option<Instant>,
    last_page: Option<Page>,
    /// The position of the last post.
    posted_position: Option<String>,
    last_post: Option<String>,
    /// Acknowledged posts that may be sent again, with the ids of their messages.
    answered: Vec<(Post, String)>,
}

impl Writer {
    /// A user who writes to a group, mostly at one replica.
    pub fn new(user: User, history: Arc<History>, rng: Rng, group: &str, home: u16) -> Self {
        Self {
            user,
            history,
            rng,
            group: group.to_owned(),
            home,
            number: 0,
            posted_mark: None,
            standing_mark: None,
            chain: 0,
            behind_since: None,
            last_page: None,
            posted_position: None,
            last_post: None,
            answered: Vec::new(),
        }
    }

    /// Joins, and writes until stopped.
    pub async fn work(mut self, stop: watch::Receiver<bool>) {
        self.join().await;
        while !*stop.borrow() {
            match self.rng.between(1, 100) {
                1..=52 => self.post().await,
                53..=57 => self.post_again().await,
                58..=80 => self.read().await,
                81..=97 => self.like_or_unlike().await,
                _ => self.leave_and_join().await,
            }
            self.rest(10, 150).await;
        }
    }

    /// The replica for an attempt: mostly the home replica first, then any.
    fn choose(&mut self, attempt: u32) -> u16 {
        if attempt == 0 && self.rng.chance(80) {
            return self.home;
        }
        let numbers = self.user.replicas();
        *self.rng.pick(&numbers)
    }

    /// Tracks how long replicas have been behind the user's marks.
    fn weigh<T>(&mut self, answer: &Answer<T>) {
        match answer {
            Answer::Refused(code) if code == "behind" => {
                let since = *self.behind_since.get_or_insert_with(Instant::now);
                if since.elapsed() > BEHIND {
                    self.forget();
                }
            }
            Answer::Done(_) => self.behind_since = None,
            _ => {}
        }
    }

    /// Drops all marks, since some events may be lost with a disk.
    fn forget(&mut self) {
        self.posted_mark = None;
        self.posted_position = None;
        self.standing_mark = None;
        self.last_page = None;
        self.last_post = None;
        self.behind_since = None;
        self.chain += 1;
    }

    /// Records the replicas that hold a message.
    fn note_holders(&self, message: &Value, by: u16) {
        let Some(id) = message["id"].as_str() else {
            return;
        };
        for replica in message["stored_on"].as_array().into_iter().flatten() {
            if let Some(replica) = replica.as_u64().and_then(|it| u16::try_from(it).ok()) {
                self.history.record(Event::Held {
                    id: id.to_owned(),
                    replica,
                    by,
                });
            }
        }
    }

    async fn rest(&mut self, low_ms: u64, high_ms: u64) {
        let pause = self.rng.between(low_ms, high_ms);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    fn broken(&self, promise: &'static str, what: &str) {
        let what = format!("{} in {}: {what}", self.user.name(), self.group);
        self.history.record(Event::Broken { promise, what });
    }
}
