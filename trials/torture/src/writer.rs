//! A user who writes: posts with keys and sends them again elsewhere, likes, leaves, joins, and reads
//! what a session promises. Notes what it sees and judges only what can be judged at once.

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

/// How long a write is tried, here and there, before its outcome counts as unknown.
const PATIENCE: Duration = Duration::from_secs(12);
/// How long a client is told `behind` before it goes on without what it knew.
const BEHIND: Duration = Duration::from_secs(10);

/// A user at work.
pub struct Writer {
    user: User,
    history: Arc<History>,
    rng: Rng,
    group: String,
    home: u16,
    /// Counts posts, so that every text is the only one of its kind.
    number: u64,
    /// The mark of the last post.
    posted_mark: Option<String>,
    /// The mark of the last like, unlike, join or leave.
    standing_mark: Option<String>,
    /// Counts up when marks have to be given up.
    chain: u64,
    behind_since: Option<Instant>,
    last_page: Option<Page>,
    /// The place of the last post.
    posted_position: Option<String>,
    last_post: Option<String>,
    /// Posts that were answered, to be sent again, and their messages' ids.
    answered: Vec<(Post, String)>,
}

impl Writer {
    /// A user who will write to a group, mostly at one replica.
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

    /// Joins, and works until it is told to stop.
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

    /// The replica to ask: at home first, then anywhere.
    fn choose(&mut self, attempt: u32) -> u16 {
        if attempt == 0 && self.rng.chance(80) {
            return self.home;
        }
        let numbers = self.user.replicas();
        *self.rng.pick(&numbers)
    }

    /// Keeps in mind how long replicas have been behind what we know.
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

    /// Goes on without what was known: some of it may be lost with a disk.
    fn forget(&mut self) {
        self.posted_mark = None;
        self.posted_position = None;
        self.standing_mark = None;
        self.last_page = None;
        self.last_post = None;
        self.behind_since = None;
        self.chain += 1;
    }

    /// Notes who is seen to hold a message.
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
