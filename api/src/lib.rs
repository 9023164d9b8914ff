//! The Causeway server: REST, server-sent events, and the links to its peers.

pub mod cursor;
pub mod edge;
pub mod keys;
pub mod problem;
pub mod token;
