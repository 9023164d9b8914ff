//! Direct control of a world without random faults, for tests: writes, cuts, message loss.

use causeway_domain::group::GroupCommand;
use causeway_domain::writing::{Action, Command, Task};

use super::World;
use crate::net::Way;
use crate::replica::Asker;
use crate::swarm::Swarm;

/// The time within which all replicas have started and exchanged digests.
const MET_MS: u64 = 3_000;

impl World {
    /// A mesh without faults, whose replicas have exchanged digests.
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

    /// Cuts every link for which `is_joined` is false.
    pub fn cut(&mut self, is_joined: impl Fn(usize, usize) -> bool) {
        self.net.join(Way::Cut, is_joined);
    }

    /// Loses every message until [`World::heal`].
    pub fn lose_all(&mut self) {
        self.net.weather.loss_permille = 1_000;
    }
}
