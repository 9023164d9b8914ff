//! Beside a forked origin events may arrive without their causal past, such as a like before its
//! message. The replica still converges to the same view.

use std::collections::BTreeSet;

use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::Origin;
use causeway_domain::names::{MessageId, UserId};
use causeway_domain::post::PostCommand;
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::{Action, Command};

use crate::support::{Open, Store, name, user};

#[tokio::test]
async fn a_like_that_came_before_its_message_counts_when_the_message_comes() {
    let (left, right) = tokio::join!(Store::create(1), Store::create(2));
    let (left, right) = tokio::join!(left.open(), right.open());
    left.join("lobby", "anna").await;
    let said = left.say("lobby", "anna", "hi").await.event.unwrap();
    right.pull_from(&left).await;
    right.join("lobby", "bert").await;
    let id = said.envelope.id.clone();
    like(&right, &id, "bert").await;
    let forked = BTreeSet::from([left.log.origin()]);
    let nothing = VersionVector::default();
    let all = right.log.read_beyond(&nothing, 100, usize::MAX).await;
    let (theirs, likes) = apart(all.unwrap(), left.log.origin());

    for steps in [
        vec![likes.clone(), theirs.clone()],
        vec![[likes, theirs].concat()],
    ] {
        let third = Store::create(3).await.open().await;
        for step in steps {
            let (_, head) = third.log.absorb_beside(step, forked.clone()).await.unwrap();
            third.timelines.reach(head.offset).await.unwrap();
        }

        let seen = third
            .timelines
            .message(name("lobby"), id.clone(), UserId("nobody".into()))
            .await;
        let seen = seen.unwrap().unwrap();
        assert_eq!(seen.message.likes_count, 1);
        assert_eq!(seen.liked_by, [user("bert")]);
    }
}

async fn like(at: &Open, id: &str, who: &str) {
    let command = Command {
        group: name("lobby"),
        action: Action::Post(
            MessageId(id.to_owned()),
            PostCommand::Like { user: user(who) },
        ),
        above: None,
    };
    at.log.submit(command).await.unwrap();
}

/// Splits events into those of an origin and all others.
fn apart(events: Vec<RawEvent>, origin: Origin) -> (Vec<RawEvent>, Vec<RawEvent>) {
    events
        .into_iter()
        .partition(|event| event.envelope.stamp.dot().origin == origin)
}
