//! `send`: from the command line and standard input, through failures, and with the outbox.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use crate::program::command;
use crate::trial::{Trial, assert_done, assert_failed, out};

const UTF8: &str = "nothing of it is sent; convert it first, as in: iconv -f latin1 -t utf-8";

#[test]
fn a_text_is_sent_from_the_command_line_or_from_standard_input() {
    let trial = Trial::new();

    assert_done(&trial.run(&["send", "-g", "lobby", "hello"], b""), "m1\n");
    let lines = trial.run(&["send", "-g", "lobby"], b"two\nlines\n");
    assert_done(&lines, "m2\n");
    let each = trial.run(
        &["send", "-g", "lobby", "--lines"],
        b"one\n\nanother\r\nlast",
    );
    assert_done(&each, "m3\nm4\nm5\n");
    let dashes = trial.run_bare(
        &[
            "send",
            "-g",
            "lobby",
            "-u",
            "ann",
            "-s",
            &trial.servers[0].name(),
            "--",
            "--x",
        ],
        b"",
    );
    assert_done(&dashes, "m6\n");

    let texts = ["hello", "two\nlines", "one", "another", "last", "--x"];
    assert_eq!(trial.cluster.texts(), texts);
    let keys: std::collections::BTreeSet<_> = trial
        .cluster
        .posts()
        .iter()
        .map(|post| post.header("idempotency-key").unwrap().to_owned())
        .collect();
    assert_eq!(keys.len(), 6);
}

#[test]
fn a_file_of_another_system_is_sent_as_it_reads() {
    let trial = Trial::new();

    let whole = trial.run(
        &["send", "-g", "lobby"],
        b"\xef\xbb\xbf    indented\r\n  two\r\n",
    );
    assert_done(&whole, "m1\n");
    let each = trial.run(
        &["send", "-g", "lobby", "--lines"],
        b"\xef\xbb\xbfone\r\n  two\r\n",
    );
    assert_done(&each, "m2\nm3\n");

    // The server makes line feeds of the line ends inside.
    let texts = ["    indented\r\n  two", "one", "  two"];
    assert_eq!(trial.cluster.texts(), texts);
}

#[test]
fn lines_end_in_three_ways_and_those_without_anything_to_see_are_passed_over() {
    let trial = Trial::new();

    let old = trial.run(
        &["send", "-g", "lobby", "--lines"],
        b"one\r\r  two\rthree\r",
    );
    assert_done(&old, "m1\nm2\nm3\n");
    let invisible = "\u{200b}\r\n\u{2060}\u{ad}\n\u{3164}\n\u{2800}\nfour\r\n\u{feff}\n";
    let some = trial.run(&["send", "-g", "lobby", "--lines"], invisible.as_bytes());
    assert_done(&some, "m4\n");
    let nothing = trial.run(&["send", "-g", "lobby"], "\u{200b}\r\n".as_bytes());
    assert_failed(&nothing, "there is no text to send");
    let bell = trial.run(&["send", "-g", "lobby", "--lines"], b"five\r\nsi\x07x\r\n");
    let said = String::from_utf8(bell.stderr).unwrap();
    assert!(said.starts_with("causeway: line 2: not sent: "), "{said}");

    let texts = ["one", "  two", "three", "four", "five"];
    assert_eq!(trial.cluster.texts(), texts);
}

#[test]
fn variables_may_end_as_windows_writes_them() {
    let trial = Trial::new();
    let server = trial.servers[0].name();
    let output = command(&trial.home)
        .args(["send", "hello"])
        .env("CAUSEWAY_SERVER", format!("{server}\r"))
        .env("CAUSEWAY_USER", "ann\r")
        .env("CAUSEWAY_GROUP", "lobby\r")
        .env("CAUSEWAY_TIMEOUT", "20\r")
        .env("CAUSEWAY_COLOR", "never\r")
        .env("CAUSEWAY_JSON", "false\r")
        .env("CAUSEWAY_OUTBOX", "none\r")
        .output()
        .unwrap();

    assert_done(&output, "m1\n");
    let post = &trial.cluster.posts()[0];
    assert!(
        post.path.starts_with("/v1/groups/lobby/messages"),
        "{}",
        post.path
    );
}

#[test]
fn input_that_is_not_utf8_or_no_text_at_all_is_refused() {
    let trial = Trial::new();

    let whole = trial.run(&["send", "-g", "lobby"], b"ok\ncaf\xe9\n");
    assert_failed(&whole, &format!("standard input is not UTF-8: {UTF8}"));
    let empty = trial.run(&["send", "-g", "lobby"], b" \n");
    assert_failed(&empty, "there is no text to send");
    assert_eq!(trial.cluster.texts(), Vec::<String>::new());

    let lines = trial.run(&["send", "-g", "lobby", "--lines"], b"ok\ncaf\xe9\nmore\n");
    assert_eq!(out(&lines), "m1\n");
    assert_eq!(
        String::from_utf8(lines.stderr).unwrap(),
        format!("causeway: line 2 is not UTF-8: {UTF8}\n")
    );
    assert_eq!(trial.cluster.texts(), ["ok"]);
}

#[test]
fn who_sends_to_a_group_joins_it_where_that_is_needed() {
    let trial = Trial::new();
    trial.cluster.ask_for_joins();

    for text in ["first", "second"] {
        assert!(
            trial
                .run(&["send", "-g", "lobby", text], b"")
                .status
                .success()
        );
    }

    assert_eq!(trial.cluster.requests("PUT", "/members/me").len(), 1);
    assert_eq!(trial.cluster.texts(), ["first", "second"]);
}

#[test]
fn an_earlier_message_to_another_group_joins_that_group() {
    let trial = Trial::new();
    trial.cluster.ask_for_joins();
    assert!(trial.run(&["login"], b"").status.success());
    trial.servers[0].kill();
    let kept = trial.run_bare(&["send", "-g", "one", "--timeout", "1", "earlier"], b"");
    assert_eq!(kept.status.code(), Some(1));

    let _server = trial.cluster.start_at(1, trial.servers[0].address);
    assert_done(
        &trial.run_bare(&["send", "-g", "two", "later"], b""),
        "m2\n",
    );

    assert_eq!(trial.cluster.texts(), ["earlier", "later"]);
    let joins = trial.cluster.requests("PUT", "/members/me");
    assert!(joins[0].path.contains("/groups/one/"), "{}", joins[0].path);
}

#[test]
fn a_message_that_no_server_answers_is_kept_and_sent_by_the_next_run() {
    let trial = Trial::new();
    assert!(trial.run(&["login"], b"").status.success());
    trial.servers[0].kill();

    let name = trial.servers[0].name();
    let failed = trial.run_bare(&["send", "-g", "lobby", "--timeout", "1", "kept"], b"");
    assert_failed(
        &failed,
        &format!(
            "not sent yet: no server has answered for 1 s; the last, {name}: connection refused. \
             Check --server, or wait longer with --timeout. It is kept, and sent when causeway \
             runs again as ann"
        ),
    );

    let _server = trial.cluster.start_at(1, trial.servers[0].address);
    assert_done(
        &trial.run_bare(&["send", "-g", "lobby", "next"], b""),
        "m2\n",
    );
    assert_eq!(trial.cluster.texts(), ["kept", "next"]);
}

#[test]
fn the_help_says_that_nothing_is_kept_without_a_login() {
    let trial = Trial::new();
    trial.servers[0].kill();

    let failed = trial.run(&["send", "-g", "lobby", "--timeout", "1", "gone"], b"");
    let help = trial.run_bare(&["send", "--help"], b"");

    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(
        said.starts_with("causeway: not sent, and not kept: "),
        "{said}"
    );
    let help = out(&help).replace('\n', " ");
    let exception = "Without an earlier causeway login, or with --outbox none, nothing is kept \
        while no server answers.";
    assert!(help.contains(exception), "{help}");
}

#[test]
fn a_lost_answer_is_asked_for_again_and_the_next_server_is_asked_too() {
    let trial = Trial::of(2);
    trial.cluster.answer_posts_with(1, "504 Gateway Timeout");

    let output = trial.run(&["send", "-g", "lobby", "once only"], b"");

    assert_done(&output, "m1\n");
    let posts = trial.cluster.posts();
    assert_eq!(
        posts[0].header("idempotency-key"),
        posts[1].header("idempotency-key")
    );
    assert_eq!(trial.cluster.texts(), ["once only"]);
    assert_eq!(trial.cluster.replicas_asked(), [1, 2]);
}

#[test]
fn a_refused_message_is_told_with_its_reason() {
    let trial = Trial::new();
    let long = "é".repeat(4001);

    let output = trial.run(&["send", "-g", "lobby", &long], b"");

    let excerpt = "é".repeat(59);
    assert_failed(
        &output,
        &format!(
            "not sent ({excerpt}…): text: at most 4000 characters. /outbox in the chat edits or \
             drops it"
        ),
    );
    assert!(
        trial
            .run(&["send", "-g", "lobby", "short"], b"")
            .status
            .success()
    );
    assert_eq!(trial.cluster.texts(), ["short"]);
}

#[test]
fn a_line_that_is_refused_is_named_and_ends_the_sending() {
    let trial = Trial::new();
    let lines = format!("one\n{}\nthree\n", "x".repeat(4001));

    let output = trial.run(&["send", "-g", "lobby", "--lines"], lines.as_bytes());

    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("causeway: line 2: not sent (xxx"),
        "{said}"
    );
    assert!(
        said.ends_with(". The lines after it are not sent\n"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(trial.cluster.texts(), ["one"]);
}

#[test]
fn a_pause_between_two_lines_is_not_the_silence_of_a_server() {
    let trial = Trial::new();
    let server = trial.servers[0].name();
    let mut child = command(&trial.home)
        .args(["send", "-g", "lobby", "--lines", "--timeout", "1"])
        .args(["-u", "ann", "-s", &server])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for text in ["one", "two"] {
        // A log that says nothing for longer than a server may say nothing.
        std::thread::sleep(Duration::from_millis(1200));
        writeln!(stdin, "{text}").unwrap();
    }
    drop(stdin);

    let output = child.wait_with_output().unwrap();

    assert_eq!(out(&output), "m1\nm2\n");
    assert!(output.status.success());
    assert_eq!(trial.cluster.texts(), ["one", "two"]);
}

#[test]
fn without_an_outbox_nothing_is_said_to_be_kept() {
    let trial = Trial::new();
    assert!(trial.run(&["login"], b"").status.success());
    trial.servers[0].kill();

    let output = trial.run_bare(
        &[
            "send",
            "-g",
            "lobby",
            "--timeout",
            "1",
            "--outbox",
            "none",
            "x",
        ],
        b"",
    );

    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("causeway: no server has answered"),
        "{said}"
    );
    assert!(!said.contains("kept"), "{said}");
}

#[test]
fn an_earlier_message_that_is_refused_keeps_nothing_waiting() {
    let trial = Trial::new();
    assert!(trial.run(&["login"], b"").status.success());
    trial.servers[0].kill();
    let long = "x".repeat(4001);
    let sent = trial.run_bare(&["send", "-g", "lobby", "--timeout", "1", &long], b"");
    assert_eq!(sent.status.code(), Some(1));

    let _server = trial.cluster.start_at(1, trial.servers[0].address);
    let output = trial.run_bare(&["send", "-g", "lobby", "short"], b"");

    assert_eq!(out(&output), "m1\n");
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("causeway: an earlier message is not sent ("),
        "{said}"
    );
    assert_eq!(trial.cluster.texts(), ["short"]);
}
