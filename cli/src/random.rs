//! The one source of randomness, for idempotency keys and for spreading retries.

/// Returns fresh random bytes from the operating system.
#[expect(clippy::disallowed_methods, reason = "the one source of randomness")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("every supported system has random bits");
    bytes
}
