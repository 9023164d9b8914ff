//! The event log and its read model in Postgres. `causeway_domain` decides what is written and what
//! readers see; this crate has the connections, the SQL and the tasks.

pub mod log;
pub mod rescue;
pub mod timelines;
pub mod turnstile;
