//! The time, as everything that decides is handed it.

/// A moment, as the shell's clocks show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Milliseconds on a clock that never goes back, from any start.
    pub ms: u64,
    /// Milliseconds since 1970: told to peers and shown to people, never reckoned with.
    pub wall_ms: i64,
}
