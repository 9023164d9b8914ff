//! The Causeway server: REST, server-sent events, and the links to its peers.

pub mod alarms;
pub mod app;
pub mod bodies;
pub mod check;
pub mod clock;
pub mod config;
pub mod context;
pub mod cursor;
pub mod data_folder;
pub mod database;
pub mod dev;
pub mod disk;
pub mod edge;
pub mod failure;
pub mod feeds;
pub mod health;
pub mod init;
pub mod keys;
pub mod links;
pub mod new_epoch;
pub mod probe;
pub mod problem;
pub mod routes;
pub mod server;
pub mod stop;
pub mod token;
