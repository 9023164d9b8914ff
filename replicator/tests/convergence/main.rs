//! Seeded simulation of five replicas: first everything goes wrong (nothing false may be
//! believed), then the network heals (everybody must come to hold everything, without anyone
//! writing).
//!
//! `SEEDS=20000 cargo test --release -p causeway-replicator --test convergence` runs more; a failure prints
//! its seed, and `SEED=…` runs that one alone.

mod log;
mod net;
mod rng;
mod world;

use std::collections::BTreeSet;

use net::Weather;
use world::World;

const SIZE: usize = 5;
/// Simulated time in which a healed network must have brought everything everywhere: time-outs
/// under way, the longest wait of a pull, a digest, for each step of the longest way.
const HEALED_MS: u64 = 15_000;
const TREE_MS: u64 = 40_000;

#[test]
fn replicas_converge_once_every_link_works_again() {
    for_each_seed(100, |seed| {
        let mut world = World::new(seed, SIZE);
        disturb(&mut world);

        world.net.heal();
        world.net.weather = Weather::FAIR;

        expect_agreement(&mut world, HEALED_MS);
    });
}

#[test]
fn replicas_converge_through_others_over_links_that_work_one_way() {
    for_each_seed(50, |seed| {
        let mut world = World::new(seed, SIZE);
        disturb(&mut world);

        let World { net, rng, .. } = &mut world;
        net.leave_a_tree(rng);
        net.weather = Weather::FAIR;

        expect_agreement(&mut world, TREE_MS);
    });
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut world = World::new(seed, SIZE);
        world.trace = Some(String::new());
        disturb(&mut world);
        world.net.heal();
        world.run_for(5_000);
        world.trace
    };

    let (first, second) = (run(7), run(7));

    assert!(first == second, "two runs of one seed differ");
    assert_ne!(first, run(8));
}

#[test]
fn a_mesh_without_faults_sends_each_event_about_once_to_each_peer() {
    for_each_seed(10, |seed| {
        let mut world = World::new(seed, SIZE);
        world.run_for(3_000);
        for _ in 0..600 {
            let at = world.rng.index(SIZE);
            world.write(at);
            let pause_ms = world.rng.below(30);
            world.run_for(pause_ms);
        }
        expect_agreement(&mut world, HEALED_MS);

        let needed = 600 * (SIZE as u64 - 1);
        assert!(
            world.events_sent <= needed * 12 / 10,
            "{} for {needed}",
            world.events_sent
        );
    });
}

#[test]
fn a_write_on_an_idle_mesh_is_everywhere_at_once() {
    for_each_seed(20, |seed| {
        let mut world = World::new(seed, SIZE);
        world.run_for(3_000);

        world.write(0);

        assert!(
            world.run_until_agreed(100).is_some(),
            "slower than two trips"
        );
    });
}

#[test]
fn a_last_push_that_was_lost_is_made_good_in_silence() {
    for_each_seed(20, |seed| {
        let mut world = World::new(seed, SIZE);
        world.run_for(3_000);
        world.net.weather.loss_permille = 1_000;
        world.write(0);
        world.run_for(200);
        world.net.weather = Weather::FAIR;

        assert!(
            world.run_until_agreed(8_000).is_some(),
            "the lost tail stays lost"
        );
    });
}

#[test]
fn a_long_cut_is_healed_in_bulk_without_sending_much_twice() {
    for_each_seed(3, |seed| {
        let mut world = World::new(seed, SIZE);
        world.run_for(3_000);
        world.net.join(net::Way::Cut, |a, b| (a < 2) == (b < 2));
        for at in 0..SIZE {
            for _ in 0..700 {
                world.write(at);
            }
        }
        world.run_for(10_000);
        let sent_before = world.events_sent;

        world.net.heal();
        expect_agreement(&mut world, HEALED_MS);

        let needed = 700 * (2 * 3 + 3 * 2);
        let sent = world.events_sent - sent_before;
        assert!(sent <= needed * 12 / 10, "{sent} for {needed}");
    });
}

/// Twenty seconds of everything: writes, people coming and going, partitions, loss.
fn disturb(world: &mut World) {
    while world.now_ms() < 20_000 {
        if world.rng.permille(150) {
            let shape = world.net.disturb(&mut world.rng);
            let weather = Weather::any(&mut world.rng);
            world.net.weather = weather;
            world.note(format_args!("{shape} {weather:?}"));
        }
        let at = world.rng.index(SIZE);
        match world.rng.below(10) {
            0..4 => world.write(at),
            4 => {
                let burst = world.rng.below(30);
                (0..burst).for_each(|_| world.write(at));
            }
            5 => world.flip_presence(at),
            _ => {}
        }
        let pause_ms = world.rng.below(400);
        world.run_for(pause_ms);
        expect_truth(world);
    }
}

/// What a replica says of others is so: none of them has lost anything in these runs.
fn expect_truth(world: &World) {
    for replica in &world.replicas {
        let knowledge = replica.core.knowledge();
        let head = replica.log.head();
        let Some(event) = replica.log.events().last() else {
            continue;
        };
        let dot = event.stamp.dot();
        for holder in knowledge.stored_on(dot, &head.vector) {
            let holder = &world.replicas[usize::from(holder.get()) - 1];
            assert!(holder.holds(dot), "{} does not hold {dot}", holder.id);
        }
    }
}

fn expect_agreement(world: &mut World, limit_ms: u64) {
    let took_ms = world.run_until_agreed(limit_ms);

    assert!(took_ms.is_some(), "not agreed after {limit_ms} ms");
    assert!(world.alarms.is_empty(), "{:?}", world.alarms);
    let written: BTreeSet<_> = keys(world, 0);
    for at in 1..SIZE {
        assert!(
            keys(world, at) == written,
            "the histories of 1 and {} differ",
            at + 1
        );
    }
    world.run_for(5_000);
    expect_settled(world);
    expect_presence(world);
}

fn keys(world: &World, at: usize) -> BTreeSet<(String, u64)> {
    let events = world.replicas[at].log.events().iter();
    events
        .map(|event| (event.stamp.order_key().to_string(), event.content))
        .collect()
}

/// Everything that was written is settled once everybody has spoken: only where all hear all.
fn expect_settled(world: &World) {
    for replica in &world.replicas {
        let knowledge = replica.core.knowledge();
        if knowledge.peers.values().any(|peer| !is_up(peer)) {
            continue;
        }
        let newest = replica.log.head().highest;
        assert!(
            replica.settled() >= newest,
            "{} has settled too little",
            replica.id
        );
    }
}

fn expect_presence(world: &World) {
    for replica in &world.replicas {
        let knowledge = replica.core.knowledge();
        for (peer_id, peer) in &knowledge.peers {
            let there = &world.replicas[usize::from(peer_id.get()) - 1];
            let mut expected: BTreeSet<_> = there.online.iter().cloned().collect();
            expected.retain(|_| is_up(peer));
            assert_eq!(*peer.online, expected, "{} about {peer_id}", replica.id);
        }
    }
}

fn is_up(peer: &causeway_replicator::view::PeerKnowledge) -> bool {
    peer.liveness.status == causeway_replicator::liveness::Status::Up
}

fn for_each_seed(count: u64, run: impl Fn(u64)) {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(count),
    };
    for seed in seeds {
        let named = NamesSeed(seed);
        run(seed);
        std::mem::forget(named);
    }
}

/// Says which seed failed.
struct NamesSeed(u64);

impl Drop for NamesSeed {
    fn drop(&mut self) {
        eprintln!("failed with SEED={}", self.0);
    }
}
