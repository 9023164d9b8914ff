//! The project's own programs, freshly built.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// Builds a program the way the calling one was built, and returns where it is: beside it. Started
/// without cargo, it takes the program that is there.
pub fn built(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("a program lies in a folder")?;
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--locked", "--bin", name]);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        ensure!(build.status()?.success(), "`{name}` cannot be built");
    }
    named(&folder.join(name))
}

/// A program that was named.
pub fn named(program: &Path) -> anyhow::Result<PathBuf> {
    let found = program.canonicalize();
    found.with_context(|| format!("there is no program `{}`", program.display()))
}
