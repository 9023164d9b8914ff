//! The few lines that hang `decide` and `apply` on cqrs-es.
//!
//! In cqrs-es an event is what `handle` writes and what the store reads back. Ours carries its
//! stamp, because folds need the order key. An event that is not stored yet has none: it stands
//! above all others until the writer stamps it.

use std::fmt;

use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;

use crate::envelope::{Envelope, LEVEL};
use crate::group::{Group, GroupCommand, GroupEvent, Membership};
use crate::hlc::Hlc;
use crate::ids::{Epoch, Origin, ReplicaId};
use crate::names::GroupName;
use crate::post::{Post, PostCommand, PostEvent, Refusal};
use crate::stamp::Stamp;
use crate::version_vector::VersionVector;

/// What the event types of all aggregates have in common.
pub trait Event: Serialize + Clone + PartialEq + fmt::Debug + Send + Sync {
    /// The event's type, in the past tense.
    fn kind(&self) -> &'static str;

    /// Reads the event of a given type; a type this version does not know is not an error.
    fn read(kind: &str, event: &str) -> Result<Self, serde_json::Error>;
}

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
        let group = stamped
            .envelope
            .group
            .as_deref()
            .and_then(|name| GroupName::parse(name).ok());
        Self::apply(
            self,
            stamped.envelope.stamp.order_key(),
            group,
            &stamped.event,
        );
    }
}
