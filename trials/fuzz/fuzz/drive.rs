/// Defines the entry points of a target. Mutations alternate between libFuzzer's own and those of
/// the test on stable Rust.
macro_rules! drive {
    ($name:literal) => {
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (causeway_fuzz::named($name).run)(bytes));

        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max: usize, seed: u32| {
            if seed % 2 == 0 {
                return libfuzzer_sys::fuzzer_mutate(data, size, max);
            }
            let mut input = data[..size].to_vec();
            let other = input.clone();
            let mut dice = causeway_fuzz::mutate::Dice::new(seed.into());
            causeway_fuzz::mutate::mutate(&mut input, &other, &mut dice);
            input.truncate(max.min(data.len()));
            data[..input.len()].copy_from_slice(&input);
            input.len()
        });
    };
}
