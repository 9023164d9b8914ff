//! Invalid settings: one sentence that names the key, and exit code 2.

use std::path::Path;

use sqlx::{Connection, PgConnection};

use crate::harness::{Replica, run_to_its_end, settings_alone, write};

#[test]
fn a_missing_setting_is_named() {
    for key in ["cluster", "replica", "cluster_key"] {
        let sentence = refused_with(|toml| {
            let prefix = format!("{key} = ");
            toml.lines()
                .filter(|line| !line.starts_with(&prefix))
                .collect::<Vec<_>>()
                .join("\n")
        });
        assert!(sentence.contains(key), "{key}: {sentence}");
    }
    let sentence = refused_with(|toml| {
        toml.split_once("[[replicas]]")
            .expect("there are replicas")
            .0
            .to_owned()
    });
    assert!(sentence.contains("replicas"), "{sentence}");
}

#[test]
fn an_unknown_setting_is_named() {
    let sentence = refused_with(|toml| format!("color = \"red\"\n{toml}"));
    assert!(sentence.contains("color"), "{sentence}");
    let sentence = refused_with(|toml| format!("{toml}weight = 3\n"));
    assert!(sentence.contains("weight"), "{sentence}");
    let sentence = refused_with(|toml| toml.replace("data_dir", "datadir"));
    assert!(sentence.contains("datadir"), "{sentence}");
}

#[test]
fn a_wrong_setting_is_named() {
    for (right, wrong, named) in [
        ("replica = 1\n", "replica = 0\n", "replica"),
        ("replica = 1\n", "replica = -1\n", "replica"),
        ("replica = 1\n", "replica = \"one\"\n", "replica"),
        ("replica = 1\n", "replica = 7\n", "replica"),
        ("replica = 1\n", "replica = 70000\n", "replica"),
        ("auth = \"open\"", "auth = \"closed\"", "auth"),
        ("auth = \"open\"", "auth = 5", "auth"),
        (
            "public_listen = \"127.0.0.1:0\"",
            "public_listen = \"here\"",
            "public_listen",
        ),
        (
            "internal_listen = \"127.0.0.1:0\"",
            "internal_listen = \"127.0.0.1\"",
            "internal_listen",
        ),
        (
            "internal_listen = \"127.0.0.1:0\"",
            "internal_listen = \"1.2.3.4:99999\"",
            "internal_listen",
        ),
        ("longer than thirty-two bytes", "", "cluster_key"),
        ("id = 1\n", "id = 0\n", "id"),
        ("http://127.0.0.1:11001", "not a url", "internal_url"),
        ("http://127.0.0.1:12001", "127.0.0.1:12001", "public_url"),
        (
            "http://127.0.0.1:12001",
            "ftp://127.0.0.1:12001",
            "public_url",
        ),
        ("cluster = \"it\"", "cluster = 5", "cluster"),
        ("cluster = \"it\"", "cluster = \"\"", "cluster"),
    ] {
        let sentence = refused_with(|toml| {
            assert!(toml.contains(right), "{right} is not in {toml}");
            toml.replace(right, wrong)
        });
        assert!(sentence.contains(named), "{wrong}: {sentence}");
    }
}

#[test]
fn two_replicas_with_one_number_are_refused() {
    let sentence = refused_with(|toml| {
        let (_, replica) = toml.split_once("[[replicas]]").expect("there is a replica");
        format!("{toml}\n[[replicas]]{replica}")
    });

    assert!(
        sentence.contains("replicas") || sentence.contains("id"),
        "{sentence}"
    );
}

#[test]
fn a_file_that_is_no_configuration_is_refused() {
    let sentence = refused_with(|_| "this is not toml".into());
    assert!(!sentence.is_empty());

    let output = run_to_its_end(&["run", "--config", "/nowhere/at/all.toml"], &[]);
    let sentence = one_sentence(&output);
    assert!(sentence.contains("/nowhere/at/all.toml"), "{sentence}");
}

#[test]
fn a_setting_from_the_environment_is_checked_by_its_name_too() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let config = write(&settings_alone(folder.path()));

    let output = run_to_its_end(
        &["run", "--config", text(&config)],
        &[("CAUSEWAY_REPLICA", "x")],
    );

    let sentence = one_sentence(&output);
    assert!(
        sentence.contains("CAUSEWAY_REPLICA") || sentence.contains("replica"),
        "{sentence}"
    );
}

#[test]
fn a_check_finds_what_a_start_would_trip_over() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut settings = settings_alone(folder.path());
    settings.more = "color = \"red\"\n".into();
    let config = write(&settings);

    let output = run_to_its_end(&["check", "--config", text(&config)], &[]);

    assert_eq!(output.status.code(), Some(2));
    let said = [output.stdout, output.stderr].concat();
    assert!(String::from_utf8_lossy(&said).contains("color"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_of_events_that_want_a_hand() {
    let (mut replica, other) = tokio::join!(Replica::start(), Replica::start());
    replica.member("ann", "lobby").await;
    replica.stop().await;
    // Another program answers at its address.
    replica.settings.replicas[0].1 = format!("http://{}", other.door.address());
    let mut connection = PgConnection::connect(&replica.database_url())
        .await
        .expect("it runs");
    let config = write(&replica.settings);
    let look = || {
        let output = run_to_its_end(&["check", "--config", text(&config)], &[]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(look().contains("ok     all events can be shown"));

    sqlx::raw_sql(
        "INSERT INTO quarantine (arrival, reason) VALUES (1, 'unreadable');
         INSERT INTO set_aside_events (replica, epoch, seq, hlc, payload, hash)
         VALUES (1, 1, 1, 1, '{}', ''), (1, 1, 2, 2, '{}', '')",
    )
    .execute(&mut connection)
    .await
    .expect("the tables are there");

    let said = look();
    let is_wrong = |what: &str| {
        let mut lines = said.lines().filter(|line| line.starts_with("WRONG"));
        lines.any(|line| line.contains(what))
    };
    assert!(is_wrong("events set aside: 1;"), "{said}");
    assert!(is_wrong("events that wait: 2;"), "{said}");
}

/// Runs a server with changed settings and returns its one sentence.
fn refused_with(change: impl FnOnce(String) -> String) -> String {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let settings = settings_alone(folder.path());
    let config = write(&settings);
    std::fs::write(&config, change(settings.toml())).expect("a file can be written");

    let output = run_to_its_end(&["run", "--config", text(&config)], &[]);

    assert!(
        !settings.data_dir.exists(),
        "nothing is made before the settings are right"
    );
    one_sentence(&output)
}

/// Asserts exit code 2, an empty standard output and one line on standard error.
pub fn one_sentence(output: &std::process::Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        output.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let lines: Vec<&str> = stderr
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    assert_eq!(lines.len(), 1, "one sentence, not {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    lines[0].to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}
