//! How far a replica's projection has followed its log.

use crate::hlc::Hlc;
use crate::stamp::Stamp;
use crate::version_vector::VersionVector;

/// After every so many events of the log its vector is kept. A reader who stops between two of them
/// scans at most so many events again. Smaller rows would be read, and written, more often.
pub const VECTOR_EVERY: i64 = 256;

/// How far the projection has followed the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last event folded in, by its place in this log.
    pub arrival: i64,
    /// All that is folded in.
    pub vector: VersionVector,
    /// The highest clock reading of it.
    pub highest: Hlc,
}

impl Checkpoint {
    /// Moves on to the next event of the log. Returns the vector where it is to be kept: after
    /// every [`VECTOR_EVERY`] events, whatever the steps of the projection.
    pub fn advance(&mut self, arrival: i64, stamp: &Stamp) -> Option<(i64, VersionVector)> {
        self.arrival = arrival;
        self.vector.record(stamp.dot());
        self.highest = self.highest.max(stamp.hlc);
        (arrival % VECTOR_EVERY == 0).then(|| (arrival, self.vector.clone()))
    }
}
