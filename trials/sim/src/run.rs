//! One run: first everything goes wrong, and nothing false may be told; then all is healed, and
//! everybody must come to hold everything, without anyone writing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::hits::Hits;
use crate::rng::Rng;
use crate::swarm::Swarm;
use crate::world::World;

/// How long everything goes wrong, in simulated time.
pub(crate) const DISTURBED_MS: u64 = 12_000;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Run {
    /// From which all chance follows.
    pub seed: u64,
    /// How many replicas.
    pub size: usize,
    /// The faults; drawn from the seed where nothing is said.
    pub swarm: Option<Swarm>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was met.
    pub hits: Hits,
    /// What was wrong.
    pub violation: Option<String>,
    /// What happened, where that was wanted.
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

    /// Tells whether a number may come to have two contents.
    pub fn can_fork(&self) -> bool {
        let drawn = || Swarm::any(&mut Rng::new(self.seed));
        self.swarm.clone().unwrap_or_else(drawn).can_fork()
    }

    /// Runs it.
    pub fn go(&self) -> Outcome {
        self.run(false)
    }

    /// Runs it and writes down what happens.
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
            world.violation = Some(format!("panic: {}", said.unwrap_or("without a word")));
        }
        Outcome {
            trace: world.trace().to_owned(),
            violation: world.violation,
            hits: world.hits,
        }
    }
}
