//! Every corpus input, and thousands of mutated ones, on every run of the suite.
//!
//! `CAUSEWAY_FUZZ_SECONDS` sets the minimum duration per target.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use causeway_fuzz::mutate::{Dice, mutate};
use causeway_fuzz::{TARGETS, Target};

/// The minimum number of mutated inputs per target.
const CHANGED: u64 = 1_000;

#[test]
fn no_kept_input_and_no_change_to_one_breaks_a_promise() {
    let seconds = std::env::var("CAUSEWAY_FUZZ_SECONDS").ok();
    let seconds = seconds.map(|text| text.parse().expect("a number of seconds"));
    for target in TARGETS {
        let kept = kept_inputs(target);
        assert!(!kept.is_empty(), "`{}` has no inputs", target.name);
        for input in &kept {
            try_input(target, input, "corpus");
        }
        let begun = Instant::now();
        let end = begun + Duration::from_secs(seconds.unwrap_or(0));
        let mut seed = 0;
        while seed < CHANGED || Instant::now() < end {
            let mut dice = Dice::new(seed);
            let mut input = kept[dice.below(kept.len())].clone();
            let other = &kept[dice.below(kept.len())];
            mutate(&mut input, other, &mut dice);
            try_input(target, &input, &format!("seed {seed}"));
            seed += 1;
        }
        eprintln!(
            "{}: {seed} changed inputs in {:?}",
            target.name,
            begun.elapsed()
        );
    }
}

/// Runs a target, and prints the input if it fails.
fn try_input(target: Target, input: &[u8], which: &str) {
    let ended = std::panic::catch_unwind(|| (target.run)(input));
    if let Err(panic) = ended {
        eprintln!(
            "`{}` fails ({which}) on {:?}",
            target.name,
            String::from_utf8_lossy(input)
        );
        std::panic::resume_unwind(panic);
    }
}

/// The corpus inputs of a target, sorted by name.
fn kept_inputs(target: Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder can be listed").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read(path).expect("an input can be read"))
        .collect()
}
