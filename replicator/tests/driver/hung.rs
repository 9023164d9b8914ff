//! A peer whose calls never end keeps nobody waiting for the others (F24); a call that breaks its task is
//! told of.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use causeway_domain::chain::Hash;
use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::{Epoch, Origin, ReplicaId};
use causeway_domain::version_vector::VersionVector;
use causeway_replicator::link::Link;
use causeway_replicator::link::http::HttpLink;
use causeway_replicator_core::failure::LinkError;
use causeway_replicator_core::instance::Instance;
use causeway_replicator_core::wire::events::Decoded;
use causeway_replicator_core::wire::{Digest, PushAnswer};
use futures_util::FutureExt as _;
use tokio::time::timeout;

use crate::support::{DEADLINE, expect_agreement, replicas_beside, until};
use crate::{question, stop};

#[tokio::test]
async fn a_peer_whose_bulk_calls_never_end_keeps_nobody_waiting_for_the_others() {
    let asked = Arc::new(Asked::default());
    let hung = |_| Some(Hung::after_digests(Arc::clone(&asked)));
    let replicas = replicas_beside(2, |_| b"key", hung).await;

    replicas[0].join("ann").await;
    until("both push to it and pull from it, in vain", || {
        asked.pushes.load(Ordering::Relaxed) > 0 && asked.pulls.load(Ordering::Relaxed) > 1
    })
    .await;
    for number in 0..10 {
        replicas[number % 2].join(&format!("user{number}")).await;
    }

    expect_agreement(&replicas, 11).await;
    stop(replicas).await;
}

#[tokio::test]
async fn a_peer_that_never_answers_anything_keeps_nobody_waiting_for_the_others() {
    let asked = Arc::new(Asked::default());
    let hung = |_| Some(Hung::from_the_start(Arc::clone(&asked)));
    let replicas = replicas_beside(2, |_| b"key", hung).await;

    until("both have asked it in vain", || {
        asked.digests.load(Ordering::Relaxed) == 2
    })
    .await;
    for number in 0..10 {
        replicas[number % 2].join(&format!("user{number}")).await;
    }

    expect_agreement(&replicas, 10).await;
    stop(replicas).await;
}

#[tokio::test]
async fn a_task_that_dies_is_told_of_where_it_was_and_nowhere_else() {
    let dying = |id: ReplicaId| (id.get() == 1).then(Hung::that_breaks);
    let replicas = replicas_beside(2, |_| b"key", dying).await;
    let (broken, other) = (&replicas[0].replicator, &replicas[1].replicator);
    assert_eq!(broken.ended().now_or_never(), None);

    replicas[0].join("ann").await;
    timeout(DEADLINE, broken.ended()).await.unwrap();

    expect_agreement(&replicas, 1).await;
    assert_eq!(other.ended().now_or_never(), None);
    stop(replicas).await;
}

/// How often it was called.
#[derive(Default)]
pub struct Asked {
    digests: AtomicU64,
    pushes: AtomicU64,
    pulls: AtomicU64,
}

/// The way to a peer whose calls do not end.
pub struct Hung {
    asked: Arc<Asked>,
    answers_digests: bool,
    breaks: bool,
}

impl Hung {
    /// The peer's number: none of the others has it.
    pub fn id() -> ReplicaId {
        ReplicaId::new(9).unwrap()
    }

    /// Never answers anything.
    pub fn from_the_start(asked: Arc<Asked>) -> Self {
        Self {
            asked,
            answers_digests: false,
            breaks: false,
        }
    }

    fn after_digests(asked: Arc<Asked>) -> Self {
        Self {
            asked,
            answers_digests: true,
            breaks: false,
        }
    }

    /// The first push breaks the task that makes it.
    fn that_breaks() -> Self {
        Self {
            breaks: true,
            ..Self::after_digests(Arc::default())
        }
    }

    /// It has an event to be pulled, and lacks all that others wrote.
    fn answer(n: u64) -> Digest {
        let epoch = Epoch(9);
        let origin = Origin {
            replica: Self::id(),
            epoch,
        };
        Digest {
            replica: Self::id(),
            epoch,
            instance: Instance(9),
            n,
            vector: BTreeMap::from([(origin, (1, Hash::START.then(b"event")))]),
            ..question()
        }
    }
}

impl Link for Hung {
    async fn digest(&self, _: &Digest) -> Result<Digest, LinkError> {
        let before = self.asked.digests.fetch_add(1, Ordering::Relaxed);
        if self.answers_digests {
            return Ok(Self::answer(before + 1));
        }
        pending().await
    }

    async fn push(&self, _: &[RawEvent]) -> Result<PushAnswer, LinkError> {
        assert!(!self.breaks, "a defect, as the test wants it");
        self.asked.pushes.fetch_add(1, Ordering::Relaxed);
        pending().await
    }

    async fn pull(&self, _: &VersionVector, _: usize) -> Result<Decoded, LinkError> {
        self.asked.pulls.fetch_add(1, Ordering::Relaxed);
        pending().await
    }
}

/// The way to a peer of these tests.
pub enum Way {
    Http(Box<HttpLink>),
    Hung(Hung),
}

impl Link for Way {
    async fn digest(&self, digest: &Digest) -> Result<Digest, LinkError> {
        match self {
            Self::Http(link) => link.digest(digest).await,
            Self::Hung(link) => link.digest(digest).await,
        }
    }

    async fn push(&self, events: &[RawEvent]) -> Result<PushAnswer, LinkError> {
        match self {
            Self::Http(link) => link.push(events).await,
            Self::Hung(link) => link.push(events).await,
        }
    }

    async fn pull(&self, after: &VersionVector, limit: usize) -> Result<Decoded, LinkError> {
        match self {
            Self::Http(link) => link.pull(after, limit).await,
            Self::Hung(link) => link.pull(after, limit).await,
        }
    }
}
