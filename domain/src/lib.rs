//! The pure core of a replicated group chat: no database, no wall clock, no tasks. In reading
//! order: identities (`ids`), version vectors (`version_vector`), the hybrid logical clock (`hlc`),
//! stamps made of all three (`stamp`), the bytes of events (`envelope`, `chain`), the rules
//! (`group`, `post`, and `aggregate` for cqrs-es), the writer's decisions (`writing`), whom the next
//! batch or call serves (`fairness`), and the history that readers are shown (`timeline`, `cursor`).

pub mod aggregate;
pub mod chain;
pub mod cursor;
pub mod envelope;
pub mod event;
pub mod fairness;
pub mod group;
pub mod hlc;
pub mod ids;
pub mod marks;
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
