//! The checkpoint of a replica's projection.

use crate::hlc::Hlc;
use crate::stamp::Stamp;
use crate::version_vector::VersionVector;

/// Interval, in events, at which the vector of the log is stored. A reader who resumes between two
/// stored vectors rescans at most this many events. A smaller interval writes and reads more rows.
pub const VECTOR_EVERY: i64 = 256;

/// How far the projection has folded the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The offset of the last folded event.
    pub offset: i64,
    /// The events folded so far.
    pub vector: VersionVector,
    /// The highest clock reading among them.
    pub highest: Hlc,
}

impl Checkpoint {
    /// Advances to the next event of the log. Returns the vector if it has to be stored: after
    /// every [`VECTOR_EVERY`] events, independent of the projection's step size.
    pub fn advance(&mut self, offset: i64, stamp: &Stamp) -> Option<(i64, VersionVector)> {
        self.offset = offset;
        self.vector.record(stamp.dot());
        self.highest = self.highest.max(stamp.hlc);
        (offset % VECTOR_EVERY == 0).then(|| (offset, self.vector.clone()))
    }
}
