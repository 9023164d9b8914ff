//! Starts that are refused, or ended before they are complete: nothing is changed, nothing lives on.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::harness::{Replica, eventually, run_to_its_end, run_with, texts};
use crate::local_cluster::dev_arguments_at_free_ports;

#[tokio::test]
async fn every_command_refuses_the_folder_of_another_account_and_leaves_it_as_it_is() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root has folders of other accounts");
        return;
    }
    let folder = open_folder();
    let mut replica = Replica::prepare().await;
    replica.settings.database_url = None;
    replica.settings.data_dir = folder.path().join("data");
    replica.restart().await;
    let ann = replica.member("ann", "lobby").await;
    ann.says("lobby", "still here").await;
    replica.stop().await;
    // As if account 54321 had run it: its own folder, and all that is in it.
    let (data, kept) = (folder.path().join("data"), folder.path().join("kept"));
    shell(&format!(
        "cp -a {0} {1}; chown -R 54321:54321 {0}",
        data.display(),
        kept.display()
    ));
    let before = listing(&data);

    let commands: [&'static [&'static str]; 5] = [
        &["run"],
        &["rebuild"],
        &["new-epoch"],
        &["inspect", "group", "lobby"],
        &["check"],
    ];
    for command in commands {
        let output = run_with(&replica.settings, command).await;

        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
        assert!(
            said.contains("belongs to the account `54321`"),
            "{command:?}: {said}"
        );
        assert!(said.contains("runuser -u 54321"), "{command:?}: {said}");
        assert_eq!(listing(&data), before, "{command:?}");
    }
    // Only the folder of Postgres.
    shell(&format!(
        "chown -R 0:0 {0}; chown -R 54321:54321 {0}/postgres",
        data.display()
    ));
    let before = listing(&data);
    let output = run_with(&replica.settings, &["run"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("belongs to the account `54321`"), "{said}");
    assert_eq!(listing(&data), before);

    shell(&format!(
        "rm -r {0}; mv {1} {0}",
        data.display(),
        kept.display()
    ));
    replica.restart().await;
    assert_eq!(texts(&ann.history("lobby").await), ["still here"]);
    replica.stop().await;
}

#[tokio::test]
async fn a_first_start_that_is_asked_to_stop_leaves_no_process() {
    let folder = open_folder();
    for signal in [Signal::TERM, Signal::INT] {
        let arguments = dev_arguments_at_free_ports(&folder);
        let mut dev = Command::new(env!("CARGO_BIN_EXE_causeway-server"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server can be run");
        eventually("initdb running", async || {
            let found = processes_in(folder.path());
            let is_initdb = |line: &&String| line.contains("initdb") || line.contains("--boot");
            if found.iter().any(|line| is_initdb(&line)) {
                Ok(())
            } else {
                Err(found.join("\n"))
            }
        })
        .await;

        let pid = i32::try_from(dev.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("it has a number"), signal).expect("it runs");
        let ended = tokio::task::spawn_blocking(move || dev.wait()).await;

        assert_eq!(processes_in(folder.path()), [""; 0]);
        let ended = ended.expect("it is waited for").expect("it ends");
        assert!(ended.success(), "{ended}");
    }
}

#[tokio::test]
async fn a_data_folder_on_a_file_system_that_takes_nothing_is_named_with_what_to_do() {
    for (options, remedy) in [("ro", "mount this file system"), ("size=64k", "make room")] {
        let folder = open_folder();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "causeway-test"])
            .arg(folder.path())
            .output();
        if !mounted.is_ok_and(|done| done.status.success()) {
            eprintln!("only root can mount a file system");
            return;
        }
        if remedy == "make room" {
            // Until nothing fits any more.
            let _ = std::fs::write(folder.path().join(".ballast"), vec![7; 128 * 1024]);
        }
        let mut replica = Replica::prepare().await;
        replica.settings.database_url = None;
        let elsewhere = tempfile::tempdir().expect("a folder can be made");
        let config = elsewhere.path().join("causeway.toml");
        replica.settings.data_dir = folder.path().join("data");
        std::fs::write(&config, replica.settings.toml()).expect("it can be written");
        let config = config.to_str().expect("a path of text").to_owned();

        let run = move || run_to_its_end(&["run", "--config", &config], &[]);
        let output = tokio::task::spawn_blocking(run).await.expect("it ends");

        let _ = Command::new("umount").arg("-l").arg(folder.path()).status();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        assert!(said.contains(remedy), "{options}: {said}");
        assert!(
            said.contains(folder.path().to_str().expect("text")),
            "{said}"
        );
    }
}

/// A folder that others may walk through.
fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("it is ours");
    folder
}

fn shell(script: &str) {
    let ran = Command::new("sh").args(["-ec", script]).status();
    assert!(ran.is_ok_and(|status| status.success()), "{script}");
}

/// Every file below a folder, with its owner, permissions and times of change.
fn listing(folder: &Path) -> String {
    let mut found = Command::new("find");
    found
        .arg(folder)
        .args(["-printf", "%p %U %m %s %T@ %C@\\n"]);
    let output = found.output().expect("it can be run");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The command lines of processes that name a folder or work in it. On Linux only.
fn processes_in(folder: &Path) -> Vec<String> {
    let text = folder.to_str().expect("a path of text");
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = processes.map(|process| {
        let command = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        let works_in = std::fs::read_link(process.path().join("cwd")).unwrap_or_default();
        (command.replace('\0', " "), works_in)
    });
    processes
        .filter(|(command, works_in)| command.contains(text) || works_in.starts_with(folder))
        .map(|(command, _)| command)
        .collect()
}
