//! `history` and `tail`: nothing is missed or repeated, and a cursor resumes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use serde_json::Value;

use crate::program::command;
use crate::trial::{Trial, assert_done, out};

#[test]
fn a_history_is_printed_whole_as_lines_or_as_objects() {
    let trial = Trial::new();
    for number in 1..=1234 {
        trial.cluster.history("bob", &format!("text {number}."));
    }

    let output = trial.run(&["history", "-g", "lobby"], b"");
    assert_eq!(out(&output).lines().count(), 1234);
    assert_eq!(
        out(&output).lines().next(),
        Some("2026-01-01T10:00:00Z bob: text 1.")
    );

    let output = trial.run(&["history", "-g", "lobby", "--json"], b"");
    let messages: Vec<Value> = out(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(messages.len(), 1234);
    assert_eq!(messages[1233]["text"], "text 1234.");
    assert_eq!(messages[0]["liked_by"], serde_json::json!([]));
    assert_eq!(trial.cluster.requests("GET", "/messages").len(), 2 * 4);
}

#[test]
fn the_next_page_is_asked_for_before_one_is_printed() {
    let trial = Trial::new();
    for number in 1..=1001 {
        trial
            .cluster
            .history("bob", &format!("{number} {}", "x".repeat(400)));
    }
    let server = trial.servers[0].name();
    for arguments in [&["history"][..], &[]] {
        let before = trial.cluster.requests("GET", "/messages").len();
        let mut child = command(&trial.home)
            .args(arguments)
            .args(["-g", "lobby", "-u", "ann", "-s", &server])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"p\n").unwrap();

        // The output is larger than a pipe and nobody reads it: it stops in its first page.
        trial
            .cluster
            .wait_for_requests(before + 3, "GET", "/messages");

        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(out(&output).lines().count() >= 1001);
    }
}

#[test]
fn what_people_write_cannot_fake_a_line_or_steer_a_terminal() {
    let trial = Trial::new();
    trial
        .cluster
        .history("bob", "a\u{1b}[2Jb\n2026-01-01T10:00:00Z ann: I approve");

    let output = trial.run(&["history", "-g", "lobby"], b"");

    let lines: Vec<_> = out(&output).lines().collect();
    assert_eq!(lines[1], "    | 2026-01-01T10:00:00Z ann: I approve");
    assert!(!out(&output).contains('\u{1b}'));
}

#[test]
fn a_tail_goes_on_from_the_cursor_of_an_earlier_one() {
    let trial = Trial::new();
    for number in 1..=12 {
        trial.cluster.say("bob", &format!("text {number}."));
    }

    let newest = trial.run(&["tail", "-g", "lobby"], b"");
    assert_eq!(out(&newest).lines().count(), 10);
    assert!(out(&newest).ends_with("bob: text 12.\n"));

    let whole = trial.run(&["tail", "-g", "lobby", "--from", "START", "--json"], b"");
    let lines: Vec<Value> = out(&whole)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 13);
    assert_eq!(lines[0]["event"], "message");
    assert_eq!(lines[0]["data"]["text"], "text 1.");
    let cursor = lines[12]["cursor"].as_str().unwrap().to_owned();

    trial.cluster.say("bob", "one more");
    trial.cluster.say("bob", "and another");
    let more = trial.run(&["tail", "-g", "lobby", "--from", &cursor, "--json"], b"");
    let lines: Vec<Value> = out(&more)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["data"]["text"], "one more");
    assert_eq!(lines[0]["cursor"], "c13");
    assert_eq!(lines[1]["data"]["text"], "and another");
    let plain = trial.run(&["tail", "-g", "lobby", "--from", "c13"], b"");
    assert_done(&plain, "2026-01-01T10:00:00Z bob: and another\n");
    assert_done(
        &trial.run(&["tail", "-g", "lobby", "--from", "NOW"], b""),
        "",
    );
}

#[test]
fn a_followed_tail_goes_on_at_the_next_server_with_nothing_missed_or_twice() {
    let trial = Trial::of(2);
    trial.cluster.say("bob", "before");
    let server = trial.servers[0].name();
    let mut child = command(&trial.home)
        .args([
            "tail", "-g", "lobby", "-u", "ann", "-s", &server, "--follow",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().ends_with("bob: before"));

    let one = trial.cluster.say("bob", "one");
    assert!(next().ends_with("bob: one"));
    trial.servers[0].kill();
    // As happens between replicas that were cut off from each other.
    trial.cluster.frame("message", &one, true);
    trial.cluster.say("bob", "two");
    trial.cluster.say("bob", "three");

    assert!(next().ends_with("bob: two"));
    assert!(next().ends_with("bob: three"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_group_where_nothing_happens_is_no_lost_server() {
    let trial = Trial::new();
    let server = trial.servers[0].name();
    let mut child = command(&trial.home)
        .args(["tail", "-g", "lobby", "--from", "NOW", "--follow"])
        .args(["-u", "ann", "-s", &server, "--timeout", "1"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    trial.cluster.wait_for_requests(2, "GET", "/changes");
    child.kill().unwrap();
    child.wait().unwrap();

    // The poll ends before the server would count as silent.
    let asked = trial.cluster.requests("GET", "/changes");
    let mut query = asked[1].path.split('&');
    assert!(query.any(|part| part == "wait_ms=500"), "{}", asked[1].path);
}
