//! The writer reads few rows, and still knows the members for any order of arrival.

use causeway_domain::envelope::RawEvent;
use causeway_domain::names::MessageId;
use causeway_domain::post::PostCommand;
use causeway_domain::post::Refusal;
use causeway_domain::text::MessageText;
use causeway_domain::writing::{Action, Command};
use causeway_store::log::SubmitError;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::audit::audit;
use crate::expected::expected;
use crate::support::{Open, Store, name};
use crate::world::{choices, history, in_some_causal_order, person};

#[tokio::test]
async fn the_writer_accepts_posts_of_members_only() {
    let mut runner = TestRunner::deterministic();
    for number in 0..4 {
        let events = history().new_tree(&mut runner).unwrap().current();
        let choices = choices().new_tree(&mut runner).unwrap().current();
        let arriving = in_some_causal_order(&events, &choices);
        let (first, then) = arriving.split_at(arriving.len() / 2);
        let store = Store::create(9).await;
        let replica = store.open().await;

        replica.log.absorb(first.to_vec()).await.unwrap();
        check_every_pair(&replica, first, number).await;
        replica.log.absorb(then.to_vec()).await.unwrap();
        check_every_pair(&replica, &arriving, number).await;
        replica.close().await;
        let replica = store.open().await;
        check_every_pair(&replica, &arriving, number).await;
        audit(&replica).await;
        replica.close().await;
    }
}

/// Posts as each user to each group, and compares the outcome with the rules applied to the events.
async fn check_every_pair(replica: &Open, events: &[RawEvent], number: usize) {
    let seen = expected(events);
    for group in ["lobby", "attic"] {
        for user in [person(0), person(1)] {
            let pair = (group.to_owned(), user.id.0.clone());
            let is_member = seen
                .members
                .get(&pair)
                .is_some_and(|member| member.value.is_in);
            let id = format!("{group} {} {}", user.name, replica.log.head().offset);
            let command = Command {
                group: name(group),
                action: Action::Post(
                    MessageId(id),
                    PostCommand::Post {
                        author: user,
                        text: MessageText::parse("hello", 10).unwrap(),
                        sent_at_ms: None,
                        key: None,
                    },
                ),
                above: None,
            };

            let refusal = match replica.log.submit(command).await {
                Ok(_) => None,
                Err(SubmitError::Refused(refusal)) => Some(refusal),
                Err(failure) => panic!("{failure}"),
            };

            let wanted = if seen.groups.contains_key(group) {
                (!is_member).then_some(Refusal::NotAMember)
            } else {
                Some(Refusal::NoSuchGroup)
            };
            assert_eq!(refusal, wanted, "history {number}: {pair:?}");
        }
    }
}
