//! What a replicated group chat is, in reading order: who wrote (`ids`), what is known
//! (`version_vector`), when (`hlc`), both together (`stamp`), the bytes that travel (`envelope`,
//! `chain`), the rules (`group`, `post`), and the two shells: the event log and its read model.

pub mod chain;
pub mod envelope;
pub mod hlc;
pub mod ids;
pub mod names;
pub mod stamp;
pub mod version_vector;
