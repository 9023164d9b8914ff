//! What a replicated group chat is, decided: no database, no clock, no task. In reading order: who
//! wrote (`ids`), what is known (`version_vector`), when (`hlc`), both together (`stamp`), the bytes
//! that travel (`envelope`, `chain`), the rules (`group`, `post`, and `aggregate` for cqrs-es), what
//! the one writer decides (`writing`), what people are shown (`timeline`, `cursor`).

pub mod aggregate;
pub mod chain;
pub mod cursor;
pub mod envelope;
pub mod event;
pub mod group;
pub mod hlc;
pub mod ids;
pub mod names;
pub mod post;
pub mod register;
pub mod rescue;
pub mod rule;
pub mod stamp;
pub mod text;
pub mod timeline;
pub mod version_vector;
pub mod writing;
