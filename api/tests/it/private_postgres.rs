//! A replica without a database of its own brings one, keeps its data, and leaves nothing running.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::harness::{Replica, eventually, texts};

#[tokio::test]
async fn a_private_postgres_keeps_everything_through_stops_and_kills() {
    let (mut replica, folder) = with_private_postgres().await;
    replica.restart().await;
    let ann = replica.member("ann", "lobby").await;

    ann.says("lobby", "before the stop").await;
    replica.stop().await;
    assert_eq!(
        processes_in(folder.path()),
        [] as [String; 0],
        "nothing is left after a stop"
    );
    replica.restart().await;
    ann.says("lobby", "before the kill").await;
    replica.kill9();
    nothing_runs_in(folder.path()).await;
    replica.restart().await;

    assert_eq!(
        texts(&ann.history("lobby").await),
        ["before the stop", "before the kill"]
    );
    replica.stop().await;
}

#[tokio::test]
async fn a_killed_postgres_comes_back_under_a_running_server() {
    let (mut replica, folder) = with_private_postgres().await;
    replica.restart().await;
    let ann = replica.member("ann", "lobby").await;
    let mut stream = ann.listens("lobby").await;
    stream.catches_up().await;

    for round in 0..3 {
        let before = format!("before kill {round}");
        ann.says("lobby", &before).await;
        stream
            .next_where("the message before", |frame| frame.data["text"] == before)
            .await;
        kill_postmaster(folder.path()).await;
        let text = format!("after kill {round}");
        eventually("writing again", async || {
            let answer = ann.says_once("lobby", &text, &text).await;
            if answer.status == 503 {
                answer.refused(503, "unavailable");
                return Err(answer.body);
            }
            assert!(matches!(answer.status, 200 | 201), "{}", answer.body);
            Ok(())
        })
        .await;
    }

    let history = ann.history("lobby").await;
    let expected: Vec<String> = (0..3)
        .flat_map(|round| {
            [
                format!("before kill {round}"),
                format!("after kill {round}"),
            ]
        })
        .collect();
    assert_eq!(texts(&history), expected);
    replica.stop().await;
    nothing_runs_in(folder.path()).await;
}

#[tokio::test]
async fn what_was_shown_before_postgres_was_killed_is_shown_after_it_without_another_write() {
    let (mut replica, folder) = with_private_postgres().await;
    replica.restart().await;
    let ann = replica.member("ann", "lobby").await;
    let mut stream = ann.listens("lobby").await;
    stream.catches_up().await;

    for round in 0..5 {
        let message = ann.says("lobby", &format!("message {round}")).await;
        stream
            .next_where("the message", |frame| frame.data["id"] == message["id"])
            .await;
        kill_postmaster(folder.path()).await;

        let path = format!(
            "/v1/groups/lobby/messages/{}",
            message["id"].as_str().unwrap()
        );
        eventually("reading again", async || {
            let answer = ann.get(&path).await;
            if answer.status == 503 {
                return Err(answer.body);
            }
            answer.with(200);
            Ok(())
        })
        .await;
    }
    drop(stream);
    replica.stop().await;
}

#[tokio::test]
async fn a_page_after_postgres_was_killed_shows_all_that_a_page_before_it_showed() {
    let (mut replica, folder) = with_private_postgres().await;
    replica.restart().await;
    let ann = replica.member("ann", "lobby").await;
    let mut expected = Vec::new();

    for round in 0..5 {
        for number in 0..3 {
            let text = format!("message {round} {number}");
            ann.says("lobby", &text).await;
            expected.push(text);
        }
        assert_eq!(texts(&ann.history("lobby").await), expected);
        kill_postmaster(folder.path()).await;

        let page = eventually("reading again", async || {
            let answer = ann.get("/v1/groups/lobby/messages?limit=100").await;
            match answer.status {
                503 => Err(answer.body),
                _ => Ok(answer.with(200)),
            }
        })
        .await;
        let shown = page["messages"].as_array().expect("a list").clone();
        assert_eq!(texts(&shown), expected);
    }
    replica.stop().await;
}

#[tokio::test]
async fn everything_killed_at_once_is_recovered() {
    let (mut replica, folder) = with_private_postgres().await;
    replica.restart().await;
    let ann = replica.member("ann", "lobby").await;
    ann.says("lobby", "acknowledged").await;

    let postmaster = postmaster(folder.path()).expect("a Postgres runs");
    replica.kill9();
    // It may have ended by itself in the meantime.
    let _ = kill_process(postmaster, Signal::KILL);
    replica.restart().await;

    assert_eq!(texts(&ann.history("lobby").await), ["acknowledged"]);
    replica.stop().await;
    nothing_runs_in(folder.path()).await;
}

/// A replica without a configured database. Its folder can be reached by the unprivileged user that
/// Postgres runs as when the tests run as root.
async fn with_private_postgres() -> (Replica, TempDir) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("it is ours");
    let mut replica = Replica::prepare().await;
    replica.settings.database_url = None;
    replica.settings.data_dir = folder.path().join("data");
    (replica, folder)
}

/// Returns the recorded process number of the Postgres in a folder; the process may have ended.
fn postmaster(folder: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(find(folder, "postmaster.pid")?).ok()?;
    Pid::from_raw(text.lines().next()?.parse().ok()?)
}

/// Kills the Postgres of a folder.
async fn kill_postmaster(folder: &Path) {
    eventually("a Postgres to be killed", async || {
        let postmaster = postmaster(folder).ok_or("none is written down")?;
        kill_process(postmaster, Signal::KILL).map_err(|none| none.to_string())
    })
    .await;
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        if path.file_name().is_some_and(|it| it == name) {
            return Some(path);
        }
        if path.is_dir()
            && let Some(found) = find(&path, name)
        {
            return Some(found);
        }
    }
    None
}

async fn nothing_runs_in(folder: &Path) {
    eventually("nothing being left", async || {
        let left = processes_in(folder);
        if left.is_empty() {
            Ok(())
        } else {
            Err(left.join("\n"))
        }
    })
    .await;
}

/// Returns the command lines of processes that name a folder or work in it. On Linux only.
fn processes_in(folder: &Path) -> Vec<String> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let folder_text = folder.to_str().expect("a path of text");
    let mut found = Vec::new();
    for process in processes.filter_map(Result::ok) {
        let command = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        let works_in = std::fs::read_link(process.path().join("cwd")).unwrap_or_default();
        if command.contains(folder_text) || works_in.starts_with(folder) {
            found.push(command.replace('\0', " "));
        }
    }
    found
}
