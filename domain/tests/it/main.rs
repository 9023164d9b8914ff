//! What the domain promises beyond one module: one binary, a file per subject.

mod log;
mod support;
