//! What the domain promises beyond one module: one binary, a file per subject.
#![expect(clippy::unwrap_used, reason = "a test fails where its helper does")]

mod expected;
mod folds;
mod golden;
mod readers;
mod table;
mod world;
