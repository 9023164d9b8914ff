//! Tests of the domain across modules, in one binary with a file per subject.
#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

mod expected;
mod folds;
mod golden;
mod readers;
mod table;
mod world;
