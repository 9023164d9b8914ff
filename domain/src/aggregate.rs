//! The few lines that hang `decide` and `apply` on cqrs-es.
//!
//! In cqrs-es an event is what `handle` writes and what the store reads back. Ours carries its
//! stamp, because folds need the order key. An event that is not stored yet has none: it stands
//! above all others until the writer stamps it.

use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;

use crate::envelope::{Envelope, LEVEL};
use crate::event::Event;
use crate::group::{Group, GroupCommand, GroupEvent, Membership};
use crate::hlc::Hlc;
use crate::ids::{Epoch, Origin, ReplicaId};
use crate::names::GroupName;
use crate::post::{Post, PostCommand, PostEvent, Refusal};
use crate::stamp::Stamp;
use crate::version_vector::VersionVector;

/// An event with the frame it travels in.
#[derive(Clone, Debug)]
pub struct Stamped<E> {
    /// Who accepted it, when in the order, about what.
    pub envelope: Envelope,
    /// What happened.
    pub event: E,
}

impl<E: Event> Stamped<E> {
    /// Reads the event inside a frame.
    pub fn read(envelope: Envelope) -> Result<Self, serde_json::Error> {
        let event = E::read(&envelope.kind, envelope.event.get())?;
        Ok(Self { envelope, event })
    }

    /// Frames an event that is not stored yet: above all that are.
    fn not_stored_yet(aggregate: &'static str, group: &GroupName, event: E) -> Self {
        let origin = Origin {
            replica: ReplicaId::new(u16::MAX).expect("not 0"),
            epoch: Epoch(u32::MAX),
        };
        let raw = to_raw_value(&event).expect("events have only string keys and plain numbers");
        let envelope = Envelope {
            stamp: Stamp {
                origin,
                seq: 1,
                hlc: Hlc::MAX,
                past: VersionVector::default(),
            },
            level: LEVEL,
            aggregate: aggregate.to_owned(),
            id: String::new(),
            group: Some(group.as_str().to_owned()),
            kind: event.kind().to_owned(),
            at: 0,
            event: raw.into(),
        };
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
        Self::read(Envelope::deserialize(deserializer)?).map_err(serde::de::Error::custom)
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

/// A command to a group, with the name of the group it is for.
#[derive(Clone, Debug)]
pub struct InGroup<C> {
    /// Which group.
    pub group: GroupName,
    /// What is asked.
    pub command: C,
}

impl cqrs_es::Aggregate for Group {
    const TYPE: &'static str = "group";
    type Command = InGroup<GroupCommand>;
    type Event = Stamped<GroupEvent>;
    type Error = Refusal;
    type Services = ();

    async fn handle(
        &mut self,
        asked: Self::Command,
        (): &Self::Services,
        sink: &EventSink<Self>,
    ) -> Result<(), Refusal> {
        let event = self.decide(asked.command);
        sink.write(
            Stamped::not_stored_yet(Self::TYPE, &asked.group, event),
            self,
        )
        .await;
        Ok(())
    }

    fn apply(&mut self, stamped: Self::Event) {
        Self::apply(self, stamped.envelope.stamp.order_key(), &stamped.event);
    }
}

impl cqrs_es::Aggregate for Post {
    const TYPE: &'static str = "post";
    type Command = (Membership, InGroup<PostCommand>);
    type Event = Stamped<PostEvent>;
    type Error = Refusal;
    type Services = ();

    async fn handle(
        &mut self,
        (membership, asked): Self::Command,
        (): &Self::Services,
        sink: &EventSink<Self>,
    ) -> Result<(), Refusal> {
        let event = self.decide(&asked.group, membership, asked.command)?;
        sink.write(
            Stamped::not_stored_yet(Self::TYPE, &asked.group, event),
            self,
        )
        .await;
        Ok(())
    }

    fn apply(&mut self, stamped: Self::Event) {
        let group = stamped.envelope.group_name();
        Self::apply(
            self,
            stamped.envelope.stamp.order_key(),
            group,
            &stamped.event,
        );
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::Aggregate;
    use cqrs_es::test::TestFramework;

    use super::*;
    use crate::names::{User, UserId};
    use crate::text::MessageText;

    type Groups = TestFramework<Group>;
    type Posts = TestFramework<Post>;

    #[tokio::test]
    async fn whoever_joins_has_joined() {
        let join = GroupCommand::Join { user: user("anna") };

        let outcome = Groups::with(())
            .given_no_previous_events()
            .when_async(in_lobby(join))
            .await;

        outcome.then_expect_events(vec![new(Group::TYPE, joined("anna"))]);
    }

    #[tokio::test]
    async fn whoever_joins_again_has_joined_again() {
        let join = GroupCommand::Join { user: user("anna") };

        let outcome = Groups::with(())
            .given(vec![stored(1, Group::TYPE, joined("anna"))])
            .when_async(in_lobby(join))
            .await;

        outcome.then_expect_events(vec![new(Group::TYPE, joined("anna"))]);
    }

    #[tokio::test]
    async fn whoever_leaves_has_left() {
        let leave = GroupCommand::Leave { user: user("anna") };

        let outcome = Groups::with(())
            .given(vec![stored(1, Group::TYPE, joined("anna"))])
            .when_async(in_lobby(leave))
            .await;

        let left = GroupEvent::MemberLeft { user: user("anna") };
        outcome.then_expect_events(vec![new(Group::TYPE, left)]);
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
    async fn a_member_likes_what_another_wrote_and_takes_it_back() {
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
    async fn refused_is_the_like_of_the_own_the_unknown_and_the_taken_back() {
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
    fn an_event_that_is_not_stored_yet_stands_above_all_that_are() {
        let fresh = new(Group::TYPE, joined("anna"));
        let key = fresh.envelope.stamp.order_key();

        assert!(
            key > stored(u64::MAX, Group::TYPE, joined("anna"))
                .envelope
                .stamp
                .order_key()
        );
    }

    #[test]
    fn an_event_is_read_as_it_was_framed() {
        let event = stored(3, Post::TYPE, posted("anna"));

        let text = serde_json::to_string(&event).unwrap();
        let read: Stamped<PostEvent> = serde_json::from_str(&text).unwrap();

        assert_eq!(read, event);
    }

    fn new<E: Event>(aggregate: &'static str, event: E) -> Stamped<E> {
        Stamped::not_stored_yet(aggregate, &GroupName::parse("lobby").unwrap(), event)
    }

    fn stored<E: Event>(ms: u64, aggregate: &'static str, event: E) -> Stamped<E> {
        let mut stamped = new(aggregate, event);
        stamped.envelope.stamp.origin.epoch = Epoch(7);
        stamped.envelope.stamp.hlc = Hlc::at_ms(ms);
        stamped
    }

    fn in_lobby<C>(command: C) -> InGroup<C> {
        InGroup {
            group: GroupName::parse("lobby").unwrap(),
            command,
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
