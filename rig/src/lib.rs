//! Replicas as processes on this machine, and links between them that can be cut.
//!
//! Knows a replica as its operator does: a configuration file, a process that says when it is
//! ready, two addresses. Used by `causeway-server dev`, by the tests of the API, by torture and by
//! the benchmarks.

mod certificates;
pub mod links;
mod network;
pub mod ports;
mod process;
pub mod program;
mod settings;

pub use certificates::Certificates;
pub use network::Network;
pub use process::{Addresses, Process, hide_settings, signal};
pub use settings::Settings;
