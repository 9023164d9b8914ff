//! A server that cannot start says why in one sentence and ends with exit code 2.

use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use crate::harness::{Database, Replica, run_to_its_end, settings_alone, write};

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();

    for listen in ["public_listen", "internal_listen"] {
        let replica = Replica::prepare().await;
        let config = write(&replica.settings);
        let free = format!("{listen} = \"127.0.0.1:0\"");
        let toml = replica
            .settings
            .toml()
            .replace(&free, &format!("{listen} = {address:?}"));
        std::fs::write(&config, toml).expect("a file can be written");

        let sentence = last_sentence(&run(&config).await);

        assert!(sentence.contains(&address), "{sentence}");
    }
}

#[tokio::test]
async fn without_postgres_programs_one_sentence_says_how_to_install_them() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let config = write(&settings_alone(folder.path()));
    let nowhere = folder.path().display().to_string();

    let output = run_with(&config, ("CAUSEWAY_PG_BIN", nowhere)).await;

    let sentence = last_sentence(&output);
    assert!(sentence.contains("initdb"), "{sentence}");
    assert!(sentence.contains("install"), "{sentence}");
}

#[tokio::test]
async fn a_database_url_that_is_none_is_named() {
    for url in ["junk", "http://127.0.0.1/x", ""] {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let mut settings = settings_alone(folder.path());
        settings.database_url = Some(url.into());

        let sentence = last_sentence(&run(&write(&settings)).await);

        assert!(sentence.contains("database_url"), "{url}: {sentence}");
    }
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_said_and_no_password_is_shown() {
    let missing = Database::empty().await.url().replace("it_", "missing_");
    let (place, query) = missing.split_once('?').unwrap_or((&missing, ""));
    let with_password = format!("{}?{query}", place.replacen('@', ":hunter2@", 1));
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut settings = settings_alone(folder.path());
    settings.database_url = Some(with_password);

    let output = run(&write(&settings)).await;

    last_sentence(&output);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
}

#[tokio::test]
async fn a_postgres_that_can_lose_what_it_acknowledged_is_refused() {
    let replica = Replica::prepare().await;
    let config = write(&replica.settings);
    for setting in ["synchronous_commit", "fsync"] {
        let mut settings = replica.settings.clone();
        let url = settings.database_url.take().expect("it has a database");
        // Only the first can be set per connection; the other is off for all of these tests.
        settings.more = if setting == "fsync" {
            format!("database_url = {url:?}\n")
        } else {
            format!("database_url = \"{url}&options=-c%20{setting}%3Doff\"\n")
        };
        std::fs::write(&config, settings.toml()).expect("a file can be written");

        let sentence = last_sentence(&run(&config).await);

        assert!(
            sentence.contains("fsync") || sentence.contains(setting),
            "{sentence}"
        );
    }
}

#[tokio::test]
async fn a_data_folder_that_is_not_ours_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let settings = settings_alone(folder.path());
    let photo = settings.data_dir.join("postgres/holiday.jpg");
    let other = settings.data_dir.join("holiday.jpg");
    std::fs::create_dir_all(settings.data_dir.join("postgres")).expect("a folder can be made");
    for file in [&photo, &other] {
        std::fs::write(file, "not ours").expect("a file can be written");
    }

    let sentence = last_sentence(&run(&write(&settings)).await);

    assert!(
        sentence.contains(folder.path().to_str().expect("a path of text")),
        "{sentence}"
    );
    for file in [&photo, &other] {
        assert_eq!(
            std::fs::read_to_string(file).expect("it is still there"),
            "not ours"
        );
    }
}

#[test]
fn arguments_that_do_not_exist_are_refused_with_help() {
    for arguments in [
        &["fly"][..],
        &["run"],
        &["run", "--colour"],
        &["dev", "--replicas", "x"],
    ] {
        let output = run_to_its_end(arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
        assert!(!output.stderr.is_empty());
    }
    for arguments in [&["--help"][..], &["run", "--help"], &["--version"]] {
        let output = run_to_its_end(arguments, &[]);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty());
    }
}

async fn run(config: &Path) -> Output {
    let config = config.to_str().expect("a path of text").to_owned();
    let run = move || run_to_its_end(&["run", "--config", &config], &[]);
    tokio::task::spawn_blocking(run).await.expect("it ends")
}

async fn run_with(config: &Path, (name, value): (&'static str, String)) -> Output {
    let config = config.to_str().expect("a path of text").to_owned();
    let run = move || run_to_its_end(&["run", "--config", &config], &[(name, &value)]);
    tokio::task::spawn_blocking(run).await.expect("it ends")
}

/// Asserts exit code 2 and nothing on standard output, and returns the last line of standard
/// error; log lines may precede it.
fn last_sentence(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        output.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or_default()
        .to_owned()
}
