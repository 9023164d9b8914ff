//! The targets by the source of their input: single messages of peers, sequences of messages of
//! peers, clients, and operators.

pub mod agreement;
pub mod peers;
pub mod readers;
pub mod settings;
