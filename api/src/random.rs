//! The source of randomness. Called by the server and by the commands that open a log; everybody
//! else is handed what it needs.

/// Returns fresh random bytes from the operating system.
#[expect(clippy::disallowed_methods, reason = "the one source of randomness")]
pub fn bytes<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|failure| anyhow::anyhow!("the system gives no random bytes: {failure}"))?;
    Ok(bytes)
}
