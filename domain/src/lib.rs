//! What a replicated group chat is, in reading order: who wrote (`ids`), what is known
//! (`version_vector`), when (`hlc`), both together (`stamp`), the bytes that travel (`envelope`,
//! `chain`), the rules (`group`, `post`), what the one writer decides (`writing`), and the two shells:
//! the event log and its read model.

pub mod aggregate;
pub mod chain;
pub mod cursor;
pub mod envelope;
pub mod event;
pub mod group;
pub mod hlc;
pub mod ids;
pub mod log;
pub mod names;
pub mod post;
pub mod rescue;
pub mod rule;
pub mod stamp;
pub mod text;
pub mod timeline;
pub mod timelines;
pub mod version_vector;
pub mod writing;
