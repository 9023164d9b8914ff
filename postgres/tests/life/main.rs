//! The life of a private Postgres: it keeps its data, comes back, and never outlives its owner.

#![expect(clippy::unwrap_used, reason = "a test fails where its helper does")]

mod owners;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use causeway_postgres::{Disposable, Options, PrivatePostgres, StartError};

use support::{
    OWNER_OF, Owner, Root, answer, assert_nothing_runs_in, is_reachable, kill, kill_guards,
    postmaster, processes_of, run, start, text, wait_until,
};

#[test]
fn data_survives_a_stop_and_a_start() {
    let root = Root::new();
    let postgres = start(&root.data()).unwrap();
    run(&postgres.url(), "CREATE TABLE kept AS SELECT 42 AS answer");
    postgres.stop();
    assert_nothing_runs_in(&root.data());

    let again = start(&root.data()).unwrap();

    assert_eq!(answer(&again.url()), 42);
}

#[test]
fn its_settings_never_lose_an_acknowledged_write() {
    let root = Root::new();
    let postgres = start(&root.data()).unwrap();

    for (setting, value) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_sync_retry", "off"),
    ] {
        assert_eq!(
            text(&postgres.url(), &format!("SHOW {setting}")),
            value,
            "{setting}"
        );
    }
}

#[test]
fn a_killed_server_comes_back_by_itself_with_what_was_committed() {
    let root = Root::new();
    let postgres = start(&root.data()).unwrap();
    run(&postgres.url(), "CREATE TABLE kept AS SELECT 42 AS answer");
    let before = postmaster(&root.data()).unwrap();

    kill(before);

    wait_until("another server answers", || {
        postmaster(&root.data()).is_some_and(|now| now != before) && is_reachable(&postgres.url())
    });
    assert_eq!(answer(&postgres.url()), 42);
}

#[test]
fn nothing_is_left_running_when_the_owner_is_killed() {
    let root = Root::new();
    let mut owner = Owner::of(&root.data());

    owner.0.kill().unwrap();
    owner.0.wait().unwrap();

    wait_until("everything has ended", || {
        processes_of(&root.data()).is_empty()
    });
    assert!(
        postmaster(&root.data()).is_none(),
        "it was stopped in order"
    );
}

#[test]
fn a_start_ends_the_server_that_lost_its_owner_and_its_guard() {
    let root = Root::new();
    let mut owner = Owner::of(&root.data());
    let orphan = postmaster(&root.data()).unwrap();
    // The guards first, or they would do their duty.
    kill_guards(&root.data());
    owner.0.kill().unwrap();
    owner.0.wait().unwrap();

    let postgres = start(&root.data()).unwrap();

    assert_ne!(postmaster(&root.data()), Some(orphan));
    assert!(is_reachable(&postgres.url()));
}

#[test]
fn a_start_after_a_kill_of_everything_at_once_recovers() {
    let root = Root::new();
    let mut owner = Owner::of(&root.data());
    for process in processes_of(&root.data()) {
        kill(process.split_whitespace().next().unwrap().parse().unwrap());
    }
    owner.0.kill().unwrap();
    owner.0.wait().unwrap();

    let postgres = start(&root.data()).unwrap();

    assert!(is_reachable(&postgres.url()));
}

#[test]
fn a_half_made_database_is_made_again() {
    let root = Root::new();
    fs::create_dir_all(root.data().join("cluster.new.1/base")).unwrap();
    fs::write(root.data().join("causeway-postgres"), "").unwrap();

    let postgres = start(&root.data()).unwrap();

    assert!(is_reachable(&postgres.url()));
    assert!(!root.data().join("cluster.new.1").exists());
}

#[test]
fn a_folder_of_someone_else_is_refused() {
    let root = Root::new();
    fs::create_dir(root.data()).unwrap();
    fs::write(root.data().join("thesis.tex"), "1").unwrap();

    let refused = start(&root.data()).unwrap_err();

    assert!(matches!(refused, StartError::Foreign { .. }), "{refused}");
}

#[test]
fn a_deleted_one_is_gone_with_the_server_it_lost_and_a_foreign_folder_stays() {
    let root = Root::new();
    let mut owner = Owner::of(&root.data());
    kill_guards(&root.data());
    owner.0.kill().unwrap();
    owner.0.wait().unwrap();

    PrivatePostgres::delete(&root.data(), &Options::default()).unwrap();

    assert!(!root.data().exists());
    assert_nothing_runs_in(&root.data());
    fs::create_dir(root.data()).unwrap();
    fs::write(root.data().join("thesis.tex"), "1").unwrap();
    let refused = PrivatePostgres::delete(&root.data(), &Options::default()).unwrap_err();
    assert!(matches!(refused, StartError::Foreign { .. }), "{refused}");
}

#[test]
fn a_second_owner_is_told_that_another_process_has_the_folder() {
    let root = Root::new();
    let _first = start(&root.data()).unwrap();

    let options = Options {
        lock_timeout: Duration::from_millis(100),
        ..Options::default()
    };
    let refused = PrivatePostgres::start(&root.data(), &options).unwrap_err();

    assert!(matches!(refused, StartError::Taken { .. }), "{refused}");
}

#[test]
fn a_deep_folder_below_a_closed_one_works_and_leaves_no_socket_folder() {
    let root = Root::new();
    fs::set_permissions(&root.0, fs::Permissions::from_mode(0o700)).unwrap();
    let deep = root
        .data()
        .join("a folder with a name, and \"quotes\"")
        .join("deep".repeat(30));
    let postgres = start(&deep).unwrap();
    let url = postgres.url();
    assert!(is_reachable(&url));

    postgres.stop();

    let socket = url
        .split("host=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    assert!(!Path::new(socket).exists(), "{socket}");
    assert!(is_reachable(&start(&deep).unwrap().url()));
}

#[test]
fn a_disposable_one_goes_with_its_process_and_leaves_no_folder() {
    let mut owner = Owner::of(Path::new("disposable"));
    let folder = owner
        .1
        .split("host=")
        .nth(1)
        .unwrap()
        .split("/socket")
        .next()
        .unwrap()
        .to_owned();
    assert!(Path::new(&folder).exists());

    owner.0.kill().unwrap();
    owner.0.wait().unwrap();

    wait_until("the folder is gone", || !Path::new(&folder).exists());
    wait_until("everything has ended", || {
        processes_of(Path::new(&folder)).is_empty()
    });
}

/// Not a test: the owner that others start as a process of its own, to kill it.
#[test]
fn an_owner_process() {
    let Some(dir) = std::env::var_os(OWNER_OF) else {
        return;
    };
    let held;
    let url = if dir == "disposable" {
        Disposable::shared().url()
    } else {
        held = start(Path::new(&dir)).unwrap();
        held.url()
    };
    fs::write(
        std::env::var_os("CAUSEWAY_TEST_TELL").unwrap(),
        format!("{url}\n"),
    )
    .unwrap();
    std::thread::sleep(Duration::from_mins(2));
}
