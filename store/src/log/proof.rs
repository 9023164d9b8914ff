//! Verifies the log: no event is missing, and none was changed by a disk or an operator.

use std::collections::BTreeMap;

use causeway_domain::chain::Hash;
use causeway_domain::ids::Origin;

use super::{Log, ReadError};

/// Events per page.
const PAGE: i64 = 500;

impl Log {
    /// Verifies each event of the log against the chain of its origin. Calls `on_progress` with the
    /// number of events verified so far. Fails at the first event that is missing or was changed.
    pub async fn prove(&self, mut on_progress: impl FnMut(i64)) -> Result<(), ReadError> {
        let mut chains: BTreeMap<Origin, Hash> = BTreeMap::new();
        let all = self.head().offset;
        let mut verified = 0;
        while verified < all {
            let page = self.read_after(verified, PAGE).await?;
            if page.is_empty() {
                return Err(ReadError::Corrupt(verified + 1));
            }
            for (offset, event) in page {
                let origin = event.envelope.stamp.origin;
                let chain = chains.entry(origin).or_insert(Hash::START);
                if chain.then(event.bytes.as_bytes()) != event.hash {
                    return Err(ReadError::Corrupt(offset));
                }
                *chain = event.hash;
                verified = offset;
            }
            on_progress(verified);
        }
        Ok(())
    }
}
