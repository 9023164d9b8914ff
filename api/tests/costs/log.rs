//! Storing the events of a peer.

use causeway_domain::envelope::RawEvent;
use causeway_domain::group::GroupCommand;
use causeway_domain::names::{MessageId, Name, User, UserId};
use causeway_domain::post::PostCommand;
use causeway_domain::text::MessageText;
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::{Action, Command};
use causeway_store::log::Log;
use causeway_store::timelines::Timelines;
use tokio::task::JoinSet;

use crate::replica::one_thread;
use crate::store::Store;
use crate::{ABSORBED, FOLDED};

const EVENTS: usize = 500;

#[test]
fn events_of_a_peer_cost_what_they_should() {
    let runtime = one_thread();
    let events = runtime.block_on(events_of_a_peer());
    let store = runtime.block_on(Store::create());
    let (log, writer) = runtime
        .block_on(Log::open(store.options(2)))
        .expect("the log opens");

    ABSORBED.holds_for(1, || {
        let (absorbed, _) = runtime.block_on(log.absorb(events)).unwrap();
        assert_eq!(absorbed.stored, EVENTS);
    });
    let mut followed = None;
    FOLDED.holds_for(1, || {
        followed = Some(runtime.block_on(async {
            let followed = Timelines::follow(log.clone(), &store.url).await.unwrap();
            followed.0.reach(log.head().offset).await.unwrap();
            followed
        }));
    });

    let (timelines, follower) = followed.expect("it follows");
    drop((log, timelines));
    runtime
        .block_on(async { tokio::try_join!(writer, follower) })
        .unwrap();
}

/// A join and messages of replica 1.
async fn events_of_a_peer() -> Vec<RawEvent> {
    let store = Store::create().await;
    let (log, writer) = Log::open(store.options(1)).await.expect("the log opens");
    let user = user();
    submit(
        &log,
        Action::Group(GroupCommand::Join { user: user.clone() }),
    )
    .await;
    let mut posting = JoinSet::new();
    for number in 1..EVENTS {
        let text = format!("message {number} of usual length, as people write them to each other");
        let post = Action::Post(
            MessageId(format!("m{number}")),
            PostCommand::Post {
                author: user.clone(),
                text: MessageText::parse(&text, 4_000).unwrap(),
                sent_at_ms: None,
                key: None,
            },
        );
        let log = log.clone();
        posting.spawn(async move { submit(&log, post).await });
    }
    posting.join_all().await;
    let nothing = VersionVector::default();
    let events = log.read_beyond(&nothing, EVENTS, usize::MAX).await.unwrap();
    assert_eq!(events.len(), EVENTS);
    drop(log);
    writer.await.unwrap();
    events
}

async fn submit(log: &Log, action: Action) {
    let command = Command {
        group: Name::parse("lobby").unwrap(),
        action,
        above: None,
    };
    log.submit(command).await.unwrap();
}

fn user() -> User {
    let name = Name::parse("anna").unwrap();
    User {
        id: UserId::of_open_name(&name),
        name: "anna".into(),
    }
}
