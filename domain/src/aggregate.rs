//! The aggregates as cqrs-es aggregates, and how the writer runs a decision.
//!
//! In cqrs-es an event is the value that `handle` writes and the store reads back. Here it includes
//! its envelope, because folds need the order key. `EventSink::write` applies an event immediately,
//! so the command contains the parts of the envelope, among them the final stamp: an event applied
//! under a provisional stamp could overrule later ones.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;

use crate::envelope::{Envelope, LEVEL};
use crate::event::Event;
use crate::group::{Group, GroupCommand, GroupEvent, Membership};
use crate::names::GroupName;
use crate::post::{Post, PostCommand, PostEvent, Refusal};
use crate::stamp::Stamp;

/// An event with its envelope. A clone shares both.
#[derive(Clone, Debug)]
pub struct Stamped<E> {
    /// Its envelope: stamp, aggregate and group.
    pub envelope: Arc<Envelope>,
    /// The event itself.
    pub event: Arc<E>,
}

impl<E: Event> Stamped<E> {
    /// Decodes the event in an envelope. Content that does not match its type yields an event
    /// without effect: it is from another version, or broken, and must not stop the log (F27).
    pub fn read(envelope: Arc<Envelope>) -> Self {
        let event = E::read(&envelope.kind, envelope.event.get());
        let event = event.unwrap_or_else(|_| E::unknown()).into();
        Self { envelope, event }
    }
}

impl<E: PartialEq> PartialEq for Stamped<E> {
    fn eq(&self, other: &Self) -> bool {
        self.envelope.stamp == other.envelope.stamp && self.event == other.event
    }
}

impl<E> Serialize for Stamped<E> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.envelope.serialize(serializer)
    }
}

impl<'de, E: Event> Deserialize<'de> for Stamped<E> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::read(Envelope::deserialize(deserializer)?.into()))
    }
}

impl<E: Event> cqrs_es::DomainEvent for Stamped<E> {
    fn event_type(&self) -> String {
        self.envelope.kind.clone()
    }

    fn event_version(&self) -> String {
        self.envelope.level.to_string()
    }
}

/// A command, with the other parts of its event's envelope.
#[derive(Clone, Debug)]
pub struct Asked<C> {
    /// The aggregate's id.
    pub id: String,
    /// The group whose readers it concerns.
    pub group: GroupName,
    /// The final stamp of the event.
    pub stamp: Stamp,
    /// The wall time, milliseconds since 1970.
    pub at_ms: i64,
    /// The command.
    pub command: C,
}

impl<C> Asked<C> {
    /// Decides the command and wraps the event in its envelope.
    fn accept<E: Event>(
        self,
        aggregate: &str,
        decide: impl FnOnce(&GroupName, C) -> Result<E, Refusal>,
    ) -> Result<Stamped<E>, Refusal> {
        let event = decide(&self.group, self.command)?;
        let raw = to_raw_value(&event).expect("events have only string keys and finite numbers");
        let envelope = Envelope {
            stamp: self.stamp,
            level: LEVEL,
            aggregate: aggregate.to_owned(),
            id: self.id,
            group: Some(self.group.as_str().to_owned()),
            kind: event.kind().to_owned(),
            at: self.at_ms,
            event: raw.into(),
        };
        Ok(Stamped {
            envelope: envelope.into(),
            event: event.into(),
        })
    }
}

impl Aggregate for Group {
    const TYPE: &'static str = "group";
    type Command = Asked<GroupCommand>;
    type Event = Stamped<GroupEvent>;
    type Error = Refusal;
    type Services = ();

    async fn handle(
        &mut self,
        asked: Self::Command,
        (): &Self::Services,
        sink: &EventSink<Self>,
    ) -> Result<(), Refusal> {
        let event = asked.accept(Self::TYPE, |_, command| Ok(Self::decide(command)))?;
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, stamped: Self::Event) {
        self.fold(stamped.envelope.stamp.order_key(), &stamped.event);
    }
}

impl Aggregate for Post {
    const TYPE: &'static str = "post";
    /// The command, with the membership of its user.
    type Command = (Membership, Asked<PostCommand>);
    type Event = Stamped<PostEvent>;
    type Error = Refusal;
    type Services = ();

    async fn handle(
        &mut self,
        (membership, asked): Self::Command,
        (): &Self::Services,
        sink: &EventSink<Self>,
    ) -> Result<(), Refusal> {
        let event = asked.accept(Self::TYPE, |group, command| {
            self.decide(group, membership, command)
        })?;
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, stamped: Self::Event) {
        let envelope = &stamped.envelope;
        let group = envelope.group.as_deref();
        self.fold(envelope.stamp.order_key(), group, &stamped.event);
    }
}

/// Decides a command on an aggregate, which applies the event, and returns the event.
///
/// Call this outside tokio tasks or inside `tokio::task::unconstrained`. The sink locks a tokio
/// mutex, and tokio's cooperative budget makes a task yield after about 128 locks, even
/// uncontended.
pub(crate) fn decide<A, E>(aggregate: &mut A, command: A::Command) -> Result<E, A::Error>
where
    A: Aggregate<Event = E, Services = ()>,
{
    let sink = EventSink::default();
    poll_once(aggregate.handle(command, &(), &sink))?;
    let event = poll_once(sink.collect()).pop();
    Ok(event.expect("an accepted command yields an event"))
}

fn poll_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a decision must not wait; run it in `tokio::task::unconstrained`"),
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;
    use crate::hlc::Hlc;
    use crate::ids::{Epoch, Origin, ReplicaId};
    use crate::names::{User, UserId};
    use crate::text::MessageText;
    use crate::version_vector::VersionVector;

    /// The clock reading at which commands are decided.
    const NOW_MS: u64 = 10;

    type Groups = TestFramework<Group>;
    type Posts = TestFramework<Post>;

    #[tokio::test]
    async fn a_join_yields_a_join_event() {
        let join = GroupCommand::Join { user: user("anna") };

        let outcome = Groups::with(())
            .given_no_previous_events()
            .when_async(in_lobby(join))
            .await;

        outcome.then_expect_events(vec![new(Group::TYPE, joined("anna"))]);
    }

    #[tokio::test]
    async fn a_repeated_join_yields_another_join_event() {
        let join = GroupCommand::Join { user: user("anna") };

        let outcome = Groups::with(())
            .given(vec![stored(1, Group::TYPE, joined("anna"))])
            .when_async(in_lobby(join))
            .await;

        outcome.then_expect_events(vec![new(Group::TYPE, joined("anna"))]);
    }

    #[tokio::test]
    async fn a_leave_yields_a_leave_event_of_a_member_or_not() {
        let leave = GroupCommand::Leave { user: user("anna") };
        let left = GroupEvent::MemberLeft { user: user("anna") };

        for given in [vec![], vec![stored(1, Group::TYPE, joined("anna"))]] {
            let outcome = Groups::with(())
                .given(given)
                .when_async(in_lobby(leave.clone()))
                .await;

            outcome.then_expect_events(vec![new(Group::TYPE, left.clone())]);
        }
    }

    #[tokio::test]
    async fn a_member_posts() {
        let outcome = Posts::with(())
            .given_no_previous_events()
            .when_async((Membership::Member, in_lobby(post("anna"))))
            .await;

        outcome.then_expect_events(vec![new(Post::TYPE, posted("anna"))]);
    }

    #[tokio::test]
    async fn only_a_member_posts() {
        for (membership, refusal) in [
            (Membership::NotAMember, Refusal::NotAMember),
            (Membership::NoSuchGroup, Refusal::NoSuchGroup),
        ] {
            let outcome = Posts::with(())
                .given_no_previous_events()
                .when_async((membership, in_lobby(post("anna"))))
                .await;

            outcome.then_expect_error(refusal);
        }
    }

    #[tokio::test]
    async fn a_member_likes_the_message_of_another_and_withdraws_the_like() {
        let like = PostCommand::Like { user: user("bert") };
        let unlike = PostCommand::Unlike { user: user("bert") };
        let liked = PostEvent::MessageLiked { user: user("bert") };
        let unliked = PostEvent::MessageUnliked { user: user("bert") };
        let given = vec![stored(1, Post::TYPE, posted("anna"))];

        let first = Posts::with(())
            .given(given.clone())
            .when_async((Membership::Member, in_lobby(like)))
            .await;
        let then = Posts::with(())
            .given(given)
            .and(vec![stored(2, Post::TYPE, liked.clone())])
            .when_async((Membership::Member, in_lobby(unlike)))
            .await;

        first.then_expect_events(vec![new(Post::TYPE, liked)]);
        then.then_expect_events(vec![new(Post::TYPE, unliked)]);
    }

    #[tokio::test]
    async fn likes_of_own_or_unknown_messages_and_unlikes_without_a_like_are_refused() {
        let by_anna = stored(1, Post::TYPE, posted("anna"));
        let unliked = PostEvent::MessageUnliked { user: user("bert") };
        let like = |name| PostCommand::Like { user: user(name) };
        let unlike = PostCommand::Unlike { user: user("bert") };
        for (given, command, refusal) in [
            (vec![by_anna.clone()], like("anna"), Refusal::OwnMessage),
            (vec![], like("bert"), Refusal::NoSuchMessage),
            (vec![by_anna.clone()], unlike.clone(), Refusal::NotLiked),
            (
                vec![by_anna, stored(2, Post::TYPE, unliked)],
                unlike,
                Refusal::NotLiked,
            ),
        ] {
            let outcome = Posts::with(())
                .given(given)
                .when_async((Membership::Member, in_lobby(command)))
                .await;

            outcome.then_expect_error(refusal);
        }
    }

    #[test]
    fn a_later_event_overrules_a_decided_one() {
        let mut group = Group::default();
        let join = GroupCommand::Join { user: user("anna") };
        let left = GroupEvent::MemberLeft { user: user("anna") };

        decide(&mut group, in_lobby(join)).unwrap();
        let after_the_join = group.membership(&user("anna").id);
        group.apply(stored(NOW_MS + 1, Group::TYPE, left));

        assert_eq!(after_the_join, Membership::Member);
        assert_eq!(group.membership(&user("anna").id), Membership::NotAMember);
    }

    #[test]
    fn a_refused_command_changes_nothing() {
        let mut post = Post::default();
        let asked = (
            Membership::Member,
            in_lobby(PostCommand::Like { user: user("anna") }),
        );

        assert_eq!(decide(&mut post, asked), Err(Refusal::NoSuchMessage));
        assert_eq!(post, Post::default());
    }

    #[tokio::test]
    async fn many_decisions_in_one_task_do_not_wait() {
        let mut group = Group::default();

        tokio::task::unconstrained(async {
            for _ in 0..1_000 {
                let join = GroupCommand::Join { user: user("anna") };
                decide(&mut group, in_lobby(join)).unwrap();
            }
        })
        .await;
    }

    #[test]
    fn an_event_round_trips_in_its_envelope() {
        let event = stored(3, Post::TYPE, posted("anna"));

        let text = serde_json::to_string(&event).unwrap();
        let read: Stamped<PostEvent> = serde_json::from_str(&text).unwrap();

        assert_eq!(read, event);
    }

    /// The event that a command yields at [`NOW_MS`].
    fn new<E: Event>(aggregate: &'static str, event: E) -> Stamped<E> {
        stored(NOW_MS, aggregate, event)
    }

    fn stored<E: Event>(ms: u64, aggregate: &'static str, event: E) -> Stamped<E> {
        let asked = Asked {
            stamp: stamp(ms),
            ..in_lobby(())
        };
        asked.accept(aggregate, |_, ()| Ok(event)).unwrap()
    }

    fn in_lobby<C>(command: C) -> Asked<C> {
        Asked {
            id: "lobby".to_owned(),
            group: GroupName::parse("lobby").unwrap(),
            stamp: stamp(NOW_MS),
            at_ms: 0,
            command,
        }
    }

    fn stamp(ms: u64) -> Stamp {
        Stamp {
            origin: Origin {
                replica: ReplicaId::new(1).unwrap(),
                epoch: Epoch(7),
            },
            seq: 1,
            hlc: Hlc::at_ms(ms),
            past: VersionVector::default(),
        }
    }

    fn joined(name: &str) -> GroupEvent {
        GroupEvent::MemberJoined { user: user(name) }
    }

    fn post(name: &str) -> PostCommand {
        PostCommand::Post {
            author: user(name),
            text: MessageText::parse("hello", 10).unwrap(),
            sent_at_ms: None,
            key: None,
        }
    }

    fn posted(name: &str) -> PostEvent {
        PostEvent::MessagePosted {
            author: user(name),
            text: "hello".to_owned(),
            sent_at: None,
            key: None,
        }
    }

    fn user(name: &str) -> User {
        User {
            id: UserId(name.to_owned()),
            name: name.to_owned(),
        }
    }
}
