//! What the domain promises beyond one module: one binary, a file per subject.
#![expect(clippy::unwrap_used, reason = "a test fails where its helper does")]

mod audit;
mod cancelled;
mod clocks;
mod costs;
mod dying_readers;
mod early;
mod failing_database;
mod folds;
mod forked;
mod golden;
mod log;
mod lossy;
mod lost_file;
mod members;
mod order;
mod poison;
mod readers;
mod refused;
mod schema;
mod support;
mod table;
mod torn;
mod unsafe_postgres;
mod world;
mod writer;
