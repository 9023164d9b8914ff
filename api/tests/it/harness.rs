//! What every test here stands on: real servers, each with its own database, links between them
//! that can be cut, and people who talk to them over HTTP. It knows the public contract and the
//! command line, and nothing of the code behind them.

mod answer;
mod browser;
mod certificates;
mod cluster;
mod database;
mod later;
mod patience;
mod process;
mod replica;
mod schema;
mod stream;
mod tap;
mod user;
mod way;

pub use causeway_rig::Settings;

pub use answer::Answer;
pub use browser::Browser;
pub use certificates::Certificates;
pub use cluster::Cluster;
pub use database::Database;
pub use later::Later;
pub use patience::{PATIENCE, all_at_once, always, eventually, passes};
pub use process::{Process, run_to_its_end, run_with, settings_alone, write};
pub use replica::{Door, Replica};
pub use schema::Schemas;
pub use stream::{Frame, Stream};
pub use tap::{Captured, Haste, Tap};
pub use user::{User, ids, names, texts};
pub use way::{Passage, Way};
