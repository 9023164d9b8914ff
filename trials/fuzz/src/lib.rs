//! Fuzz targets for every decoder of untrusted input. Beside the absence of panics, a target
//! asserts that accepted values are within their bounds and round-trip through their encoding.
//!
//! Two drivers share the targets, the inputs in `corpus` and the mutations of [`mutate`]: the test
//! of this crate, in every run of the suite, and cargo-fuzz (`fuzz`, see `README.md`).

pub mod mutate;
mod pieces;
mod targets;

use targets::{agreement, peers, readers, settings};

/// A decoder, or several that read the same bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of its folder in `corpus`.
    pub name: &'static str,
    /// Panics if an assertion about these bytes fails.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 14] = [
    target("digest", peers::digest),
    target("events", peers::events),
    target("query", peers::query),
    target("signature", peers::signature),
    target("answers", peers::answers),
    target("agreement", agreement::agreement),
    target("cursor", readers::cursor),
    target("token", readers::token),
    target("names", readers::names),
    target("texts", readers::texts),
    target("bodies", readers::bodies),
    target("parameters", readers::parameters),
    target("config", settings::config),
    target("sidecar", settings::sidecar),
];

/// The target of this name.
///
/// # Panics
///
/// If there is none.
pub fn named(name: &str) -> Target {
    let found = TARGETS.into_iter().find(|target| target.name == name);
    found.expect("a target of this name is in the list")
}

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}
