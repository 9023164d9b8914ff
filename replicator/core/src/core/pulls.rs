//! Pulls: what is asked for, stored and prefetched, and what follows from the outcome.

use causeway_domain::ids::ReplicaId;
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::Absorbed;

use crate::failure::{CallFailure, LinkError, StoreFailure};
use crate::now::Now;
use crate::pipeline::{Pull, Stage};
use crate::plan;
use crate::prefetch::{Prefetch, usable_part};
use crate::storing::{Storing, lasting};
use crate::wire::events::Decoded;

use super::stores::Purpose;
use super::{Core, Output, find_forks, find_unknown_own};

/// A pull that took so long, storing included, is no reason to go on with the same peer: another may
/// be quicker.
const SLOW_MS: u64 = 3_000;

impl Core {
    /// Begins a pull in the place of the former one: with the prefetched batch where it fits, else
    /// with a call of its own.
    pub(super) fn begin_pull(
        &mut self,
        now: Now,
        id: ReplicaId,
        after: VersionVector,
        out: &mut Vec<Output>,
    ) {
        self.abandon_pull(id, out);
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let prefetch = peer.pipeline.prefetch.as_ref();
        if !prefetch.is_some_and(|prefetch| plan::fits(&after, &prefetch.after)) {
            self.drop_prefetch(id, out);
            return self.ask(id, after, Absorbed::default(), out);
        }
        match peer.pipeline.prefetch.take() {
            None => {}
            Some(Prefetch {
                call,
                after: asked,
                result: None,
            }) => {
                peer.pipeline.pull = Some(Pull {
                    after,
                    stage: Stage::Asking {
                        call,
                        prefetched_after: Some(asked),
                    },
                    found: Absorbed::default(),
                });
            }
            Some(Prefetch {
                after: asked,
                result: Some(Ok(batch)),
                ..
            }) => self.use_prefetched(now, id, after, &asked, batch, out),
            Some(Prefetch {
                result: Some(Err(error)),
                ..
            }) => self.end_pull(now, id, Err(error.into()), false, out),
        }
    }

    fn ask(&mut self, id: ReplicaId, after: VersionVector, found: Absorbed, out: &mut Vec<Output>) {
        let call = self.call_for_batch(id, &after, out);
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.pipeline.pull = Some(Pull {
            after,
            stage: Stage::Asking {
                call,
                prefetched_after: None,
            },
            found,
        });
    }

    fn prefetch(&mut self, id: ReplicaId, after: VersionVector, out: &mut Vec<Output>) {
        self.drop_prefetch(id, out);
        let call = self.call_for_batch(id, &after, out);
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.pipeline.prefetch = Some(Prefetch {
            call,
            after,
            result: None,
        });
    }

    fn call_for_batch(
        &mut self,
        from: ReplicaId,
        after: &VersionVector,
        out: &mut Vec<Output>,
    ) -> u64 {
        let call = self.fresh_id();
        out.push(Output::Pull {
            from,
            call,
            after: after.clone(),
            limit: self.batch_events,
        });
        call
    }

    fn abandon_pull(&mut self, id: ReplicaId, out: &mut Vec<Output>) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        match peer.pipeline.pull.take().map(|pull| pull.stage) {
            None => {}
            Some(Stage::Asking { call, .. }) => out.push(Output::CancelPull { from: id, call }),
            Some(Stage::Storing { store, .. }) => self.forget_store(store),
        }
    }

    /// Gives up the prefetched batch of a peer that is not being pulled from: a pull that did not go
    /// on at once will not need it.
    pub(super) fn drop_idle_prefetch(&mut self, id: ReplicaId, out: &mut Vec<Output>) {
        let peer = self.peers.get(&id);
        if peer.is_some_and(|peer| peer.pipeline.pull.is_none()) {
            self.drop_prefetch(id, out);
        }
    }

    fn drop_prefetch(&mut self, id: ReplicaId, out: &mut Vec<Output>) {
        let peer = self.peers.get_mut(&id);
        let Some(prefetch) = peer.and_then(|peer| peer.pipeline.prefetch.take()) else {
            return;
        };
        self.prefetches.dropped += 1;
        if prefetch.result.is_none() {
            let call = prefetch.call;
            out.push(Output::CancelPull { from: id, call });
        }
    }

    /// A call for a batch ended: for a pull, or for one that is still to come.
    pub(super) fn pull_done(
        &mut self,
        now: Now,
        id: ReplicaId,
        call: u64,
        result: Result<Decoded, LinkError>,
        out: &mut Vec<Output>,
    ) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if let Some(prefetch) = &mut peer.pipeline.prefetch
            && prefetch.call == call
        {
            prefetch.result = Some(result);
            return;
        }
        let Some(pull) = peer.pipeline.take_asking(call) else {
            return;
        };
        let Pull {
            after,
            stage,
            found,
        } = pull;
        match (result, stage) {
            (Err(error), _) => self.end_pull(now, id, Err(error.into()), false, out),
            (
                Ok(batch),
                Stage::Asking {
                    prefetched_after: Some(asked),
                    ..
                },
            ) => self.use_prefetched(now, id, after, &asked, batch, out),
            (Ok(batch), _) => {
                let pull = Batch {
                    beyond: after.clone(),
                    after,
                    found,
                    decoded: batch,
                };
                self.store_pulled(now, id, pull, out);
            }
        }
    }

    fn use_prefetched(
        &mut self,
        now: Now,
        id: ReplicaId,
        after: VersionVector,
        asked: &VersionVector,
        batch: Decoded,
        out: &mut Vec<Output>,
    ) {
        let found = Absorbed::default();
        let Some(part) = usable_part(asked, &after, batch) else {
            self.prefetches.dropped += 1;
            return self.ask(id, after, found, out);
        };
        self.prefetches.used += 1;
        self.prefetches.used_by_wider += u64::from(part.beyond != after);
        let pull = Batch {
            after,
            beyond: part.beyond,
            found,
            decoded: part.batch,
        };
        self.store_pulled(now, id, pull, out);
    }

    /// Stores a batch, and prefetches the next one where the peer has shown more.
    fn store_pulled(&mut self, now: Now, id: ReplicaId, pulled: Batch, out: &mut Vec<Output>) {
        let Batch {
            after,
            beyond,
            found,
            decoded: batch,
        } = pulled;
        if batch.events.is_empty() {
            return self.end_pull(now, id, Ok(found), false, out);
        }
        let next = plan::next_after(&after, &batch, self.batch_events);
        // What has not been shown yet is not what the next pull goes for.
        let next = next.filter(|next| self.is_more_shown(id, next));
        let is_followed = next.is_some();
        if let Some(next) = next {
            self.prefetch(id, next, out);
        }
        let orphaned = self.orphaned_in_pull(id, &beyond, &batch);
        let storing = Storing::new(batch.events, orphaned);
        let store = self.store(Purpose::Pull(id), id, storing, out);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.pipeline.pull = Some(Pull {
                stage: Stage::Storing {
                    store,
                    is_followed,
                    is_narrow: beyond != after,
                },
                after,
                found,
            });
        }
    }

    /// The log took in what it could of a pulled batch, or could not.
    pub(super) fn pulled_stored(
        &mut self,
        now: Now,
        id: ReplicaId,
        result: Result<Absorbed, StoreFailure>,
        out: &mut Vec<Output>,
    ) {
        let pull = self
            .peers
            .get_mut(&id)
            .and_then(|peer| peer.pipeline.pull.take());
        let Some(Pull {
            after,
            stage:
                Stage::Storing {
                    is_followed,
                    is_narrow,
                    ..
                },
            found,
        }) = pull
        else {
            return;
        };
        match result {
            Ok(absorbed) if absorbed.stored == 0 && is_narrow => {
                self.ask(id, after, lasting(absorbed), out);
            }
            Ok(absorbed) => self.end_pull(now, id, Ok(found.and(absorbed)), is_followed, out),
            Err(_) => self.end_pull(now, id, Err(CallFailure::Log), false, out),
        }
    }

    fn end_pull(
        &mut self,
        now: Now,
        id: ReplicaId,
        result: Result<Absorbed, CallFailure>,
        is_followed: bool,
        out: &mut Vec<Output>,
    ) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.pull.is_under_way = false;
        let Ok(absorbed) = result else {
            return peer.pull_failed(now);
        };
        peer.hear(now);
        out.extend(find_forks(now, peer, id, &absorbed));
        peer.orphans.miss(now.ms, &absorbed.missing);
        if absorbed.stored > 0 {
            peer.pull_succeeded(now);
            let is_quick = now.ms < peer.pull.began_ms + SLOW_MS;
            self.goes_on = (is_followed && is_quick).then_some(id);
        } else {
            peer.pull_failed(now);
            let missing = absorbed.missing.iter().map(|range| range.origin);
            let (left_out, stuck) = missing.partition(|origin| peer.pull.left_out.contains(origin));
            let held = &self.head.vector;
            self.blocked.add(now.ms, &stuck, &left_out, held);
        }
        out.extend(find_unknown_own(
            peer,
            id,
            &self.head,
            self.me.origin,
            &absorbed,
        ));
    }
}

/// A batch that came for a pull.
struct Batch {
    /// Beyond what is pulled.
    after: VersionVector,
    /// It is all that the peer's log gives next beyond this.
    beyond: VersionVector,
    found: Absorbed,
    decoded: Decoded,
}
