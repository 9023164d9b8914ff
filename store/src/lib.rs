//! The event log and its read model in Postgres. What is to be written and what people are shown is
//! decided in `causeway_domain`; this crate has the connections, the SQL and the tasks.

pub mod log;
pub mod rescue;
pub mod timelines;
