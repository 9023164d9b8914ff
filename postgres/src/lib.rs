//! A private Postgres: found on this machine, initialised, started, watched and stopped.
//!
//! It knows nothing of chat, SQL or async: it returns a URL and keeps a server running behind it for
//! exactly as long as its owner lives, even when the owner is killed with `kill -9`.
//! Called by the server when no database URL is configured, and by tests of every crate
//! ([`Disposable`]). All calls block; async callers wrap them in `spawn_blocking`.

mod access;
mod account;
mod cancel;
mod disposable;
mod environment;
mod folder;
mod guard;
mod initdb;
mod launch;
mod log_size;
mod options;
mod orphan;
mod programs;
mod roles;
mod scratch;
mod server;
mod socket;
mod supervisor;

pub use account::account_name;
pub use cancel::Cancel;
pub use disposable::Disposable;
pub use options::Options;
pub use programs::{Missing, Programs};
pub use scratch::Scratch;
pub use server::{PrivatePostgres, StartError};
