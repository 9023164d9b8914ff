//! The targets, by whom the bytes come from: peers one by one, peers in the course of a
//! conversation, readers and writers, and whoever sets a replica up.

pub mod agreement;
pub mod peers;
pub mod readers;
pub mod settings;
