//! The interface of an aggregate's event type: it names its kind and is decoded by it. The event
//! types themselves are in the modules of their aggregates.

use std::fmt;

use serde::Serialize;

/// The event type of an aggregate.
pub trait Event: Serialize + Clone + PartialEq + fmt::Debug + Send + Sync {
    /// The event's type, in the past tense.
    fn kind(&self) -> &'static str;

    /// An event without effect: one of a type that this version does not know.
    fn unknown() -> Self;

    /// Decodes an event of a given type. A type unknown to this version yields [`Event::unknown`].
    ///
    /// # Errors
    /// If the content does not match the type.
    fn read(kind: &str, event: &str) -> Result<Self, serde_json::Error>;
}
