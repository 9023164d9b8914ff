//! The Causeway server: REST, server-sent events, and the links to its peers.

pub mod config;
pub mod cursor;
pub mod data_folder;
pub mod database;
pub mod edge;
pub mod failure;
pub mod keys;
pub mod links;
pub mod problem;
pub mod token;
