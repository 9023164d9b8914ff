//! Processes as the system sees them: what runs below one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
/// The postmaster of a database, by its pid file and confirmed by its working directory.
pub fn postmaster(cluster: &Path) -> Option<u32> {
    let text = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
    let pid = text.lines().next()?.trim().parse().ok()?;
    (place(pid)? == cluster).then_some(pid)
}

fn place(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// A process and all its descendants.
pub fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    for child in children.unwrap_or_default().split_whitespace() {
        family.extend(child.parse().map(self::family).unwrap_or_default());
    }
    family
}

/// Waits until the postmaster of a database has ended.
pub async fn postmaster_is_gone(cluster: &Path) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs(40);
    while let Some(pid) = postmaster(cluster) {
        if Instant::now() > end {
            bail!("the Postgres {pid} in {} does not end", cluster.display());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Runs a program to its end.
pub async fn run(program: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let ran = tokio::process::Command::new(program)
        .args(arguments)
        .kill_on_drop(true)
        .output();
    let output = ran
        .await
        .with_context(|| format!("`{}` cannot be run", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}", program.display(), said.trim());
    }
    Ok(())
}
