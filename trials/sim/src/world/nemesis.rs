//! Fault injection, and the end of all faults.

use super::{Happening, World, number};
use crate::disk::Disk;
use crate::hits::Hit;
use crate::net::{Way, Weather};
use crate::replica::{Doing, Fate, Replica};

const YEAR_MS: u64 = 365 * 24 * 3_600_000;

/// A fault of one replica or of the network.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    Cut,
    Weather,
    Slow,
    Crash,
    Stop,
    Pause,
    Clock,
    Wipe,
    Backup,
    Restore,
    RollBack,
    Clone,
    Outage,
    FullDisk,
    StuckFile,
}

impl World {
    /// Draws the faults that last for the whole run: protocol versions, a store that rejects an
    /// event.
    pub(super) fn draw_setting(&mut self) {
        for replica in &mut self.replicas {
            replica.disk.is_causal = !self.swarm.can_fork();
        }
        if self.swarm.versions {
            self.hit(Hit::MixedVersions);
            let relay = self.rng.index(self.size);
            for at in self.places() {
                let range = self.rng.pick(&[[1, 1], [2, 2], [1, 2]]);
                self.replicas[at].protocol = if at == relay { [1, 2] } else { range };
            }
        }
        if self.swarm.poison {
            let at = self.rng.index(self.size);
            self.replicas[at].refuses = Some(format!("odd{:x}", self.rng.next()));
        }
    }

    /// Starts clients, readers and faults.
    pub(crate) fn disturb(&mut self) {
        self.plan(300, Happening::Client);
        self.plan(500, Happening::Nemesis);
        for reader in 0..self.people.readers.len() {
            self.plan(400, Happening::Reader(reader));
        }
    }

    pub(super) fn nemesis_acts(&mut self) {
        if self.is_healed {
            return;
        }
        let in_ms = self.rng.between(100, 900);
        self.plan(in_ms, Happening::Nemesis);
        let swarm = &self.swarm;
        let enabled = [
            (swarm.cuts, Fault::Cut, 4),
            (swarm.weather, Fault::Weather, 2),
            (swarm.slow, Fault::Slow, 2),
            (swarm.crashes, Fault::Crash, 4),
            (swarm.crashes, Fault::Stop, 1),
            (swarm.pauses, Fault::Pause, 2),
            (swarm.clocks, Fault::Clock, 2),
            (swarm.wipes, Fault::Wipe, 1),
            (swarm.restores || swarm.rollbacks, Fault::Backup, 2),
            (swarm.restores, Fault::Restore, 2),
            (swarm.rollbacks, Fault::RollBack, 2),
            (swarm.clones, Fault::Clone, 3),
            (swarm.outages, Fault::Outage, 2),
            (swarm.full_disks, Fault::FullDisk, 1),
            (swarm.stuck_files, Fault::StuckFile, 2),
        ];
        let mut faults = Vec::new();
        for (is_on, fault, weight) in enabled {
            faults.extend((0..weight).filter(|_| is_on).map(|_| fault));
        }
        if !faults.is_empty() {
            let fault = self.rng.pick(&faults);
            let at = self.rng.index(self.size);
            self.do_harm(at, fault);
        }
    }

    pub(super) fn do_harm(&mut self, at: usize, fault: Fault) {
        let now_ms = self.now_ms;
        match fault {
            Fault::Cut => {
                let shape = self.net.disturb(&mut self.rng);
                self.note(format_args!("network: {shape:?}"));
                if let Some(shape) = shape {
                    self.hit(shape);
                }
            }
            Fault::Weather => self.net.weather = Weather::any(&mut self.rng),
            Fault::Slow => {
                self.hit(Hit::SlowPeer);
                let slow_ms = self.rng.pick(&[0, 300, 1_500, 10_000]);
                self.replicas[at].slow_ms = slow_ms;
            }
            // Most processes are idle at most moments, so crash at the next write.
            Fault::Crash if self.rng.permille(600) => self.replicas[at].is_doomed = true,
            Fault::Crash => {
                self.crash(at);
                self.start_later(at);
            }
            Fault::Stop => {
                self.stop(at);
                self.start_later(at);
            }
            Fault::Pause => {
                self.hit(Hit::Paused);
                let left_ms = crate::run::DISTURBED_MS.saturating_sub(now_ms);
                let for_ms = self.rng.between(500, 6_000).min(left_ms);
                self.note(format_args!("{} stands still for {for_ms} ms", at + 1));
                // Happenings deferred to the end of a longer pause must stay before new ones.
                let paused_until_ms = &mut self.replicas[at].paused_until_ms;
                *paused_until_ms = (now_ms + for_ms).max(*paused_until_ms);
            }
            Fault::Clock => self.turn_clock(at),
            Fault::Wipe => self.wipe(at),
            Fault::Backup => {
                let dump = self.replicas[at].disk.clone();
                self.replicas[at].dump = Some((now_ms, dump));
            }
            Fault::Restore => self.restore(at),
            Fault::RollBack => self.roll_back(at),
            Fault::Clone => self.clone_replica(at),
            Fault::Outage => {
                self.hit(Hit::DatabaseAway);
                let for_ms = self.rng.between(100, 8_000);
                self.replicas[at].away_until_ms = now_ms + for_ms;
            }
            Fault::FullDisk => {
                self.hit(Hit::DiskFull);
                let for_ms = self.rng.between(500, 5_000);
                self.replicas[at].full_until_ms = now_ms + for_ms;
            }
            Fault::StuckFile => {
                self.hit(Hit::FileStuck);
                let for_ms = self.rng.between(3_000, 9_000);
                self.note(format_args!(
                    "{} cannot write its file for {for_ms} ms",
                    at + 1
                ));
                self.replicas[at].stuck_until_ms = now_ms + for_ms;
                // A dump of this time lacks events that the file would have recorded.
                if self.swarm.restores {
                    self.plan(for_ms / 4, Happening::Harm(at, Fault::Backup));
                    self.plan(for_ms - 500, Happening::Harm(at, Fault::Restore));
                }
            }
        }
    }

    pub(super) fn start_later(&mut self, at: usize) {
        let in_ms = self.rng.pick(&[1, 200, 2_000, 6_000]);
        self.plan(in_ms, Happening::Start(at));
    }

    fn turn_clock(&mut self, at: usize) {
        let most_ms = self.rng.pick(&[100, 5_000, 3_600_000, YEAR_MS]);
        self.hit(Hit::ClockJumped);
        if most_ms == YEAR_MS {
            self.hit(Hit::ClockYear);
        }
        let by_ms = i64::try_from(self.rng.below(2 * most_ms)).expect("two years");
        let off_ms = by_ms - i64::try_from(most_ms).expect("a year");
        self.note(format_args!("{} has its clock off by {off_ms} ms", at + 1));
        self.replicas[at].clock_off_ms = off_ms;
    }

    /// Loses the disk, only the database, or only the file.
    fn wipe(&mut self, at: usize) {
        self.hit(Hit::Wiped);
        self.crash(at);
        let server = self.rng.next();
        let mut disk = Disk::empty(server);
        match self.rng.below(4) {
            0 => disk.file.clone_from(&self.replicas[at].disk.file),
            1 => {
                disk = self.replicas[at].disk.clone();
                disk.file = None;
            }
            _ => {}
        }
        self.note(format_args!("{} is wiped", at + 1));
        self.exchange_disk(at, disk);
        self.start_later(at);
    }

    /// Restores the database from a dump; the file stays.
    fn restore(&mut self, at: usize) {
        let Some((made_ms, mut disk)) = self.replicas[at].dump.clone() else {
            return;
        };
        let present = &self.replicas[at].disk;
        let Some(origin) = present.identity.as_ref().map(|row| row.origin) else {
            return;
        };
        let own = |disk: &Disk| disk.head(origin).vector.get(origin);
        let seen = present.file.as_ref().map_or(0, |file| file.seq_seen);
        // The file may lag behind the rows for less time than a dump and a restore take, and by the
        // one batch that detects that it cannot be written. Other rollbacks are outside the model.
        let is_behind = own(&disk) < own(present) && seen <= own(&disk);
        let is_by_rule = self.replicas[at]
            .stuck_at
            .is_none_or(|stuck_at| own(present) <= stuck_at);
        if is_behind && is_by_rule || self.now_ms < made_ms + 1_000 {
            return;
        }
        disk.file.clone_from(&present.file);
        disk.table = crate::table::Table::default();
        match self.rng.below(3) {
            0 => disk.server.system_identifier = self.rng.next().to_string(),
            1 => disk.server.timeline = format!("{:08x}", self.rng.bits()),
            _ => {}
        }
        self.hit(Hit::Restored);
        if self.rng.permille(300) && self.replicas[at].process.is_some() {
            self.exchange_beneath(at, disk);
            return;
        }
        self.crash(at);
        self.note(format_args!("{} has its database restored", at + 1));
        self.exchange_disk(at, disk);
        self.start_later(at);
    }

    /// Exchanges the database under a running process.
    fn exchange_beneath(&mut self, at: usize, disk: Disk) {
        self.note(format_args!("{} has its database exchanged", at + 1));
        self.replicas[at].away_until_ms = self.now_ms + 100;
        self.replicas[at].is_exchanged = true;
        if let Some(process) = &mut self.replicas[at].process {
            process.pending = None;
            process.has_session = false;
            process.recording = process.recording.map(|_| Fate::Failed);
            if let Doing::Inserting(_, fate) | Doing::Reserving(fate) | Doing::Renewing(fate) =
                &mut process.doing
            {
                *fate = Fate::Failed;
            }
            if matches!(process.doing, Doing::Starting) {
                self.crash(at);
                self.start_later(at);
            }
        }
        self.exchange_disk(at, disk);
        self.people.lose_replica(at);
    }

    /// Restores database and file together from a dump.
    fn roll_back(&mut self, at: usize) {
        let Some((_, mut disk)) = self.replicas[at].dump.clone() else {
            return;
        };
        if disk.identity.is_none() {
            return;
        }
        self.hit(Hit::RolledBack);
        self.crash(at);
        disk.table = crate::table::Table::default();
        self.note(format_args!("{} is rolled back", at + 1));
        self.exchange_disk(at, disk);
        // An isolated replica cannot learn what it lost, and writes other events under the same
        // dots.
        if self.rng.permille(750) {
            for other in 0..self.size {
                self.net.set(at, other, Way::Cut);
                self.net.set(other, at, Way::Cut);
            }
            self.plan(1, Happening::Start(at));
            for _ in 0..self.rng.below(6) {
                let in_ms = self.rng.between(50, 2_000);
                self.plan(in_ms, Happening::Locals(at));
            }
            return;
        }
        self.start_later(at);
    }

    /// Starts a copy of a replica and keeps it running.
    fn clone_replica(&mut self, victim: usize) {
        if self.cloned.is_some() || self.replicas[victim].disk.identity.is_none() {
            return;
        }
        self.hit(Hit::Cloned);
        self.cloned = Some(victim);
        self.note(format_args!("{} is cloned", victim + 1));
        let copied = &self.replicas[victim];
        let (disk, protocol) = (copied.disk.clone(), copied.protocol);
        let life = self.replicas[self.size].life;
        self.replicas[self.size] = Replica {
            disk,
            life,
            protocol,
            ..Replica::new(number(victim), 0)
        };
        self.plan(10, Happening::Start(self.size));
    }

    /// Ends all faults and all writes. Afterwards the replicas only converge.
    pub fn heal(&mut self) {
        self.note(format_args!("all is healed"));
        self.is_healed = true;
        self.people.requests.clear();
        self.net.weather = Weather::FAIR;
        if self.swarm.ends_as_tree {
            self.hit(Hit::Tree);
            self.net.leave_a_tree(&mut self.rng);
        } else {
            self.net.heal();
        }
        if self.cloned.is_some() {
            self.crash(self.size);
            self.exchange_disk(self.size, Disk::empty(0));
        }
        for at in self.places() {
            let replica = &mut self.replicas[at];
            replica.away_until_ms = 0;
            replica.full_until_ms = 0;
            replica.stuck_until_ms = 0;
            replica.refuses = None;
            replica.slow_ms = 0;
            replica.paused_until_ms = 0;
            replica.is_doomed = false;
            let is_cut_off = replica.process.as_ref().is_some_and(|p| p.is_cut_off);
            if is_cut_off {
                self.crash(at);
            }
            self.plan(1, Happening::Start(at));
        }
    }
}
