//! What a test does by hand where nothing is left to chance: writes, cuts, silence.

use causeway_domain::group::GroupCommand;
use causeway_domain::writing::{Action, Command, Task};

use super::World;
use crate::net::Way;
use crate::replica::Asker;
use crate::swarm::Swarm;

/// Within so long all have been started and have met.
const MET_MS: u64 = 3_000;

impl World {
    /// A mesh that nothing disturbs, of replicas that have met.
    pub fn quiet(seed: u64, size: usize) -> Self {
        let mut world = Self::new(seed, size, Some(Swarm::NONE));
        world.run_for(MET_MS);
        world
    }

    /// A user writes one event at a replica.
    pub fn write(&mut self, at: usize) {
        let user = self.rng.index(self.people.users.len());
        let action = Action::Group(GroupCommand::Join {
            user: self.people.users[user].clone(),
        });
        let command = Command {
            group: self.people.groups[0].clone(),
            action,
            above: None,
        };
        self.hand_over(at, Task::Submit(Box::new(command)), Asker::Nobody);
    }

    /// Cuts every way between replicas of which `is_joined` does not say that they stay joined.
    pub fn cut(&mut self, is_joined: impl Fn(usize, usize) -> bool) {
        self.net.join(Way::Cut, is_joined);
    }

    /// Loses everything that is sent, until [`World::heal`].
    pub fn lose_all(&mut self) {
        self.net.weather.loss_permille = 1_000;
    }
}
