//! What keeps one user's load from becoming everyone's delay: items are served in turn, a queue is
//! shared, and calls run within bounds per user. Pure; the write queue uses it, and the shells
//! around calls and reads. A user with nothing waiting or running takes no memory.

mod contention;
mod gate;
mod share;
#[cfg(test)]
mod tests;
mod turns;

pub use contention::Contention;
pub use gate::{Bounds, Entered, Gate};
pub use share::Share;
pub use turns::Turns;
