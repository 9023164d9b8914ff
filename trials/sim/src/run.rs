//! One run in two phases. Under faults, no answer may be false; after all faults end, the replicas
//! must converge without further writes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::hits::Hits;
use crate::rng::Rng;
use crate::swarm::Swarm;
use crate::world::World;

/// The duration of the phase with faults, in simulated time.
pub(crate) const DISTURBED_MS: u64 = 12_000;

/// The parameters of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The seed of all random choices.
    pub seed: u64,
    /// The number of replicas.
    pub size: usize,
    /// The faults; drawn from the seed if `None`.
    pub swarm: Option<Swarm>,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The coverage counters.
    pub hits: Hits,
    /// The first violated invariant.
    pub violation: Option<String>,
    /// The trace; empty unless requested.
    pub trace: String,
}

impl Run {
    /// A run of five replicas with faults drawn from the seed.
    pub fn of(seed: u64) -> Self {
        Self {
            seed,
            size: 5,
            swarm: None,
        }
    }

    /// Whether the faults can fork an origin.
    pub fn can_fork(&self) -> bool {
        let drawn = || Swarm::any(&mut Rng::new(self.seed));
        self.swarm.clone().unwrap_or_else(drawn).can_fork()
    }

    /// Runs without a trace.
    pub fn go(&self) -> Outcome {
        self.run(false)
    }

    /// Runs and records a trace.
    pub fn go_with_trace(&self) -> Outcome {
        self.run(true)
    }

    fn run(&self, is_traced: bool) -> Outcome {
        let mut world = World::new(self.seed, self.size, self.swarm.clone());
        if is_traced {
            world.keep_trace();
        }
        let ran = catch_unwind(AssertUnwindSafe(|| {
            world.disturb();
            world.run_for(DISTURBED_MS);
            if world.violation.is_none() {
                world.heal();
                world.expect_agreement();
            }
        }));
        if let Err(panic) = ran {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or(panic.downcast_ref::<&str>().copied());
            world.violation = Some(format!("panic: {}", said.unwrap_or("no message")));
        }
        Outcome {
            trace: world.trace().to_owned(),
            violation: world.violation,
            hits: world.hits,
        }
    }
}
