//! Whether the log is what was written: no event missing, none changed, by a disk or a hand.

use std::collections::BTreeMap;

use causeway_domain::chain::Hash;
use causeway_domain::ids::Origin;

use super::{Log, ReadError};

/// Events read at once.
const PAGE: i64 = 500;

impl Log {
    /// Reads the whole log and holds each event against the chain of its origin. `tell` hears how many
    /// were looked at. Fails at the first one that is missing or was changed.
    pub async fn prove(&self, mut tell: impl FnMut(i64)) -> Result<(), ReadError> {
        let mut chains: BTreeMap<Origin, Hash> = BTreeMap::new();
        let all = self.head().arrival;
        let mut looked_at = 0;
        while looked_at < all {
            let page = self.read_after(looked_at, PAGE).await?;
            if page.is_empty() {
                return Err(ReadError::Corrupt(looked_at + 1));
            }
            for (arrival, event) in page {
                let origin = event.envelope.stamp.origin;
                let chain = chains.entry(origin).or_insert(Hash::START);
                if chain.then(event.bytes.as_bytes()) != event.hash {
                    return Err(ReadError::Corrupt(arrival));
                }
                *chain = event.hash;
                looked_at = arrival;
            }
            tell(looked_at);
        }
        Ok(())
    }
}
