//! What the domain promises beyond one module: one binary, a file per subject.

mod folds;
mod log;
mod support;
mod table;
mod world;
