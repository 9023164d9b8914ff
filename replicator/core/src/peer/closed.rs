//! The closed timestamps of one peer.

use std::sync::Arc;

use causeway_domain::hlc::Hlc;
use causeway_domain::mutant;
use causeway_domain::version_vector::VersionVector;

/// The closed timestamps that one replica reported, and which of them count: those whose vector, taken
/// together with the timestamp, is held here.
#[derive(Debug, Default)]
pub(crate) struct ClosedReport {
    settled: Hlc,
    pending: Option<(Hlc, Arc<VersionVector>)>,
}

impl ClosedReport {
    /// Takes in the newest report.
    pub fn report(&mut self, closed: Hlc, vector: Arc<VersionVector>, held: &VersionVector) {
        self.pending = Some((closed, vector));
        self.recheck(held);
    }

    /// Counts the pending report if all it names is held by now.
    pub fn recheck(&mut self, held: &VersionVector) {
        if let Some((closed, _)) = self.pending.take_if(|(_, vector)| counts(vector, held)) {
            self.settled = self.settled.max(closed);
        }
    }

    /// The highest closed timestamp that counts.
    pub fn settled(&self) -> Hlc {
        self.settled
    }
}

/// Tells whether a closed timestamp counts: all that was held with it is held here.
fn counts(vector: &VersionVector, held: &VersionVector) -> bool {
    mutant!(ClosedTsWaitsForVector => true);
    held.covers_all(vector)
}
