//! The environment of the programs that are started here. Ours may hold secrets, such as the
//! cluster's key, and whoever runs Postgres can read the environment of its processes.

use std::process::Command;

/// Where programs and libraries are found.
const NEEDED: &[&str] = &["PATH", "LD_LIBRARY_PATH"];

/// Leaves a command nothing of our environment but what its program needs to run.
pub(crate) fn clean(command: &mut Command) -> &mut Command {
    command.env_clear().env("LC_ALL", "C");
    for name in NEEDED {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}
