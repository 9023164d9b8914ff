//! Delivers the writer's answers to their receivers.

use causeway_domain::writing::machine::WriteFailure;
use causeway_domain::writing::{Absorbed, Verdict};
use causeway_replicator_core::failure::StoreFailure;

use crate::hits::Hit;
use crate::replica::{Asker, Waiter};

use super::super::{Happening, World};
use super::RENEW_AGAIN_MS;

impl World {
    pub(super) fn answer_waiter(&mut self, at: usize, waiter: Waiter, verdict: Verdict) {
        match (waiter, verdict) {
            (Waiter::Task(Asker::Client(request)), Verdict::Submitted(answer)) => {
                self.answer_client(at, request, answer);
            }
            (Waiter::Task(asker), Verdict::Absorbed(absorbed)) => {
                if !absorbed.missing.is_empty() {
                    self.hit(Hit::Early);
                }
                self.absorbed(at, &asker, Ok(absorbed));
            }
            (Waiter::Renewal(former), Verdict::Renewed(origin)) if former != origin => {
                self.hit(Hit::Renewed);
                if !self.swarm.loses_state() {
                    self.violate(|| format!("{} draws a new epoch without a cause", at + 1));
                }
            }
            _ => {}
        }
    }

    pub(super) fn fail_waiter(&mut self, at: usize, waiter: Waiter, why: WriteFailure) {
        let failure = match why {
            WriteFailure::Unstorable => StoreFailure::Unstorable,
            WriteFailure::Unavailable => {
                self.hit(Hit::GaveUp);
                StoreFailure::Unavailable
            }
            WriteFailure::FileStuck => {
                self.hit(Hit::NumbersHeld);
                StoreFailure::Unavailable
            }
            WriteFailure::DiskFull => StoreFailure::Unavailable,
        };
        match waiter {
            Waiter::Task(Asker::Client(request)) => self.fail_client(request),
            Waiter::Task(asker) => self.absorbed(at, &asker, Err(failure)),
            Waiter::Renewal(former) => {
                let life = self.replicas[at].life;
                self.plan(RENEW_AGAIN_MS, Happening::RenewAgain(at, life, former));
            }
        }
    }

    fn absorbed(&mut self, at: usize, asker: &Asker, result: Result<Absorbed, StoreFailure>) {
        if let Asker::Store(store) = *asker {
            self.stored(at, store, result);
        }
    }
}
