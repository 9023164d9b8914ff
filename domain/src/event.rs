//! What an event type of any aggregate can do: say its kind, and be read back from it. The event
//! types themselves stand with their aggregates.

use std::fmt;

use serde::Serialize;

/// What the event types of all aggregates have in common.
pub trait Event: Serialize + Clone + PartialEq + fmt::Debug + Send + Sync {
    /// The event's type, in the past tense.
    fn kind(&self) -> &'static str;

    /// What changes nothing: an event of a type that this version does not know.
    fn unknown() -> Self;

    /// Reads the event of a given type; a type this version does not know is not an error.
    fn read(kind: &str, event: &str) -> Result<Self, serde_json::Error>;
}
