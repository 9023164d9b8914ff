//! A Postgres that outlived its owner and its guard, found by `postmaster.pid` in its cluster.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// No system gives out a process number this high.
const NO_PROCESS: &str = "99999999";

/// Ends a server that still runs in this cluster, and clears what would prevent a new start.
///
/// The file itself stays: from it Postgres learns which shared memory the last backends of a killed
/// server still use, and waits for them. A process number in it that now belongs to another program
/// (numbers are reused quickly in containers) or to a zombie would make Postgres refuse to start for
/// ever: it is replaced.
pub(crate) fn end(cluster: &Path) -> io::Result<()> {
    let file = cluster.join("postmaster.pid");
    let Some(pid) = read_pid(&file) else {
        return Ok(());
    };
    let escalation = [(Signal::INT, 10), (Signal::QUIT, 5), (Signal::KILL, 5)];
    for (signal, seconds) in escalation {
        if !is_server(pid, cluster) {
            break;
        }
        tracing::info!(
            pid = pid.as_raw_nonzero().get(),
            "ending a Postgres left by a former owner"
        );
        // Fails when it has just ended by itself, which the next line finds.
        let _ = kill_process(pid, signal);
        wait_while(Duration::from_secs(seconds), || is_server(pid, cluster));
    }
    if read_pid(&file) == Some(pid) && !is_server(pid, cluster) {
        disown(&file)?;
    }
    Ok(())
}

fn read_pid(file: &Path) -> Option<Pid> {
    let text = fs::read_to_string(file).ok()?;
    Pid::from_raw(text.lines().next()?.trim().parse().ok()?)
}

/// Whether the process is a server of this cluster: its working directory is the data folder.
#[cfg(target_os = "linux")]
fn is_server(pid: Pid, cluster: &Path) -> bool {
    let link = format!("/proc/{}/cwd", pid.as_raw_nonzero());
    fs::read_link(link).is_ok_and(|folder| folder == cluster)
}

/// Whether the process is a server of this cluster: its command line names the data folder.
#[cfg(not(target_os = "linux"))]
fn is_server(pid: Pid, cluster: &Path) -> bool {
    let pid = pid.as_raw_nonzero().to_string();
    let output = std::process::Command::new("ps")
        .args(["-ww", "-o", "command=", "-p", &pid])
        .output();
    output.is_ok_and(|output| {
        let command = String::from_utf8_lossy(&output.stdout).into_owned();
        command.contains("postgres") && command.contains(&*cluster.to_string_lossy())
    })
}

fn disown(file: &Path) -> io::Result<()> {
    let text = fs::read_to_string(file)?;
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    fs::write(file, format!("{NO_PROCESS}\n{rest}"))
}

fn wait_while(timeout: Duration, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + timeout;
    while holds() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_belongs_to_another_program_is_replaced_and_the_program_left_alone() {
        let cluster = tempfile::tempdir().unwrap();
        let file = cluster.path().join("postmaster.pid");
        fs::write(&file, format!("{}\n/data\n1\n5432\n", std::process::id())).unwrap();

        end(cluster.path()).unwrap();

        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            "99999999\n/data\n1\n5432\n"
        );
    }

    #[test]
    fn a_cluster_without_the_file_has_no_orphan() {
        let cluster = tempfile::tempdir().unwrap();

        end(cluster.path()).unwrap();
    }
}
