//! What the log and the read model promise on a real Postgres: one binary, a file per subject.
#![expect(clippy::unwrap_used, reason = "a test fails where its helper does")]
#![expect(clippy::disallowed_methods, reason = "a test has a clock of its own")]

mod audit;
mod cancelled;
mod clocks;
mod costs;
mod dying_readers;
mod early;
mod failing_database;
mod forked;
mod log;
mod lossy;
mod lost_file;
mod members;
mod order;
mod poison;
mod refused;
mod rivals;
mod schema;
mod support;
mod torn;
mod unsafe_postgres;
mod writer;

/// The histories that the folds are tried on, and what they must come to.
#[path = "../../../domain/tests/it/expected.rs"]
mod expected;
#[path = "../../../domain/tests/it/world.rs"]
mod world;
