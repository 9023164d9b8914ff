//! What the log is given to store, and whose turn it is when that is done.

use std::collections::BTreeMap;

use causeway_domain::ids::ReplicaId;
use causeway_domain::writing::Absorbed;

use crate::failure::StoreFailure;
use crate::now::Now;
use crate::storing::Storing;

use super::{Core, Output};

/// What the events that the log stores came for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// The pull from this peer.
    Pull(ReplicaId),
    /// The push with this ticket.
    Push(u64),
}

/// Everything that the log is storing.
pub(super) type Stores = BTreeMap<u64, Store>;

#[derive(Debug)]
pub(super) struct Store {
    purpose: Purpose,
    from: ReplicaId,
    storing: Storing,
}

impl Core {
    /// Hands events to the log; returns under which number.
    pub(super) fn store(
        &mut self,
        purpose: Purpose,
        from: ReplicaId,
        storing: Storing,
        out: &mut Vec<Output>,
    ) -> u64 {
        let id = self.fresh_id();
        let store = Store {
            purpose,
            from,
            storing,
        };
        out.extend(self.store_part(id, &store));
        self.stores.insert(id, store);
        id
    }

    fn store_part(&self, id: u64, store: &Store) -> Option<Output> {
        let part = store.storing.part()?;
        let mut not_awaited = self.not_awaited();
        not_awaited.extend(&store.storing.orphaned);
        Some(Output::Store {
            store: id,
            from: store.from,
            events: part.to_vec(),
            not_awaited,
        })
    }

    /// Forgets what a pull that was given up has handed to the log.
    pub(super) fn forget_store(&mut self, id: u64) {
        self.stores.remove(&id);
    }

    /// The log stored a part, or did not.
    pub(super) fn store_done(
        &mut self,
        now: Now,
        id: u64,
        result: Result<Absorbed, StoreFailure>,
        out: &mut Vec<Output>,
    ) {
        let Some(mut store) = self.stores.remove(&id) else {
            return;
        };
        match result {
            Ok(absorbed) => store.storing.absorbed(absorbed),
            Err(StoreFailure::Unstorable) => {
                let left_out = store.storing.refused();
                let from = store.from;
                out.extend(left_out.map(|dot| Output::LeftOut { from, dot }));
            }
            Err(failure) => return self.stored(now, store, Err(failure), out),
        }
        match self.store_part(id, &store) {
            None => self.stored(now, store, Ok(()), out),
            Some(part) => {
                out.push(part);
                self.stores.insert(id, store);
            }
        }
    }

    fn stored(
        &mut self,
        now: Now,
        store: Store,
        result: Result<(), StoreFailure>,
        out: &mut Vec<Output>,
    ) {
        match store.purpose {
            Purpose::Pull(from) => {
                let absorbed = result.map(|()| store.storing.into_absorbed().0);
                self.pulled_stored(now, from, absorbed, out);
            }
            Purpose::Push(ticket) => {
                let stored = result.map(|()| store.storing);
                self.pushed_stored(ticket, stored, out);
            }
        }
    }
}
