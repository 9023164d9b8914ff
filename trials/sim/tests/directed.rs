//! Runs with one scripted event sequence and exact bounds on traffic or latency.

use causeway_sim::{Run, Swarm, World};

const SIZE: usize = 5;

#[test]
fn a_mesh_without_faults_sends_each_event_about_once_to_each_peer() {
    for seed in 0..10 {
        let mut world = World::quiet(seed, SIZE);
        for number in 0..600_u64 {
            world.write(usize::try_from(number * 7 % 5).unwrap());
            world.run_for((number * 13 + seed) % 30);
        }

        agree(&mut world, seed);

        let needed = 600 * (SIZE as u64 - 1);
        let sent = world.events_sent;
        assert!(sent <= needed * 12 / 10, "seed {seed}: {sent} for {needed}");
    }
}

#[test]
fn a_write_on_an_idle_mesh_is_everywhere_at_once() {
    for seed in 0..20 {
        let mut world = World::quiet(seed, SIZE);

        world.write(0);

        world.run_for(50);
        let took = world.run_until_agreed(50);
        assert!(took.is_some(), "seed {seed}: slower than a few round trips");
    }
}

#[test]
fn a_last_push_that_was_lost_is_made_good_in_silence() {
    for seed in 0..20 {
        let mut world = World::quiet(seed, SIZE);
        world.lose_all();
        world.write(0);
        world.run_for(200);

        world.heal();

        let took = world.run_until_agreed(8_000);
        assert!(took.is_some(), "seed {seed}: the lost tail stays lost");
    }
}

#[test]
fn a_long_cut_is_healed_in_bulk_without_sending_much_twice() {
    for seed in 0..3 {
        let mut world = World::quiet(seed, SIZE);
        world.cut(|a, b| (a < 2) == (b < 2));
        for at in 0..SIZE {
            for _ in 0..700 {
                world.write(at);
            }
        }
        world.run_for(10_000);
        let before = world.events_sent;

        world.heal();
        agree(&mut world, seed);

        let needed = 700 * (2 * 3 + 3 * 2);
        let sent = world.events_sent - before;
        assert!(sent <= needed * 12 / 10, "seed {seed}: {sent} for {needed}");
    }
}

#[test]
fn replicas_agree_through_others_over_links_that_work_one_way() {
    for seed in 0..30 {
        let swarm = Swarm {
            cuts: true,
            weather: true,
            ends_as_tree: true,
            ..Swarm::NONE
        };
        let run = Run {
            seed,
            size: SIZE,
            swarm: Some(swarm),
        };

        assert_eq!(run.go().violation, None, "seed {seed}");
    }
}

fn agree(world: &mut World, seed: u64) {
    world.expect_agreement();

    assert_eq!(world.violation, None, "seed {seed}");
}
