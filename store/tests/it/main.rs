//! The guarantees of the log and the read model on a real Postgres: one binary, a file per subject.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]
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

/// The histories that the folds are tested with, and their expected state.
#[path = "../../../domain/tests/it/expected.rs"]
mod expected;
#[path = "../../../domain/tests/it/world.rs"]
mod world;
