//! Commands for scripts: logins, lists, and how a command fails. `send` and `reading` have their
//! own.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::trial::{Trial, assert_done, assert_failed, out};

#[test]
fn a_login_that_cannot_be_stored_is_reported() {
    let trial = Trial::new();
    std::fs::write(trial.home.path().join(".config"), "a file").unwrap();

    let output = trial.run(&["login"], b"");

    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("~/.config/causeway/logins.json"), "{said}");
    assert!(said.contains("Not a directory"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_login_is_kept_for_the_next_commands_until_it_is_forgotten() {
    let trial = Trial::of(2);
    let path = trial.home.path().join(".config/causeway/logins.json");
    let send: &[&str] = &["send", "--group", "lobby", "hi"];

    let before = trial.run_bare(send, b"");
    assert_failed(
        &before,
        "not sent, and not kept: not logged in; log in with causeway login --user NAME, or add \
         --user NAME",
    );
    assert_done(&trial.run(&["login"], b""), "");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    assert_done(&trial.run_bare(send, b""), "m1\n");
    assert_eq!(trial.cluster.requests("POST", "/sessions").len(), 1);
    // The token is valid at every server, even if the first one is down.
    let other = trial.servers[1].name();
    assert_done(
        &trial.run_bare(&[send, &["-s", &other]].concat(), b""),
        "m2\n",
    );
    trial.servers[0].kill();
    assert_done(&trial.run_bare(send, b""), "m3\n");
    assert_eq!(trial.cluster.requests("POST", "/sessions").len(), 1);

    assert_done(&trial.run_bare(&["logout"], b""), "");
    assert!(!std::fs::read_to_string(&path).unwrap().contains("t-ann"));
    assert_failed(&trial.run_bare(&["logout"], b""), "not logged in");
}

#[test]
fn a_stored_login_that_has_expired_is_renewed_and_stored() {
    let trial = Trial::new();
    assert!(trial.run(&["login"], b"").status.success());
    trial.cluster.end_logins();

    let output = trial.run_bare(&["send", "-g", "lobby", "hi"], b"");

    assert_done(&output, "m1\n");
    assert_eq!(trial.cluster.requests("POST", "/sessions").len(), 2);
}

#[test]
fn the_session_is_printed_where_json_is_asked_for() {
    let trial = Trial::new();

    let output = trial.run(&["login", "--json"], b"");

    let session: Value = serde_json::from_str(out(&output)).unwrap();
    assert_eq!(session["token"], "t-ann");
}

#[test]
fn groups_members_and_servers_are_printed_page_after_page() {
    let trial = Trial::of(2);

    assert_done(
        &trial.run(&["groups"], b""),
        "lobby\t2\t1\tjoined\nother\t2\t1\t-\n",
    );
    assert_done(
        &trial.run(&["groups", "--joined"], b""),
        "lobby\t2\t1\tjoined\n",
    );
    let json = trial.run(&["groups", "--json"], b"");
    let first: Value = serde_json::from_str(out(&json).lines().next().unwrap()).unwrap();
    assert_eq!(first["name"], "lobby");
    assert_done(
        &trial.run(&["members", "-g", "lobby"], b""),
        "ann\tonline\nbob\t-\n",
    );
    let view = trial.run(&["view"], b"");
    assert!(out(&view).contains(&format!("* 1        {}  here", trial.servers[0].name())));
    let view = trial.run(&["view", "--json"], b"");
    let view: Value = serde_json::from_str(out(&view)).unwrap();
    assert_eq!(view["self"]["replica"], 1);
}

#[test]
fn a_message_is_liked_by_its_id() {
    let trial = Trial::new();
    trial.cluster.let_unlike();
    trial.cluster.history("bob", "hi");

    assert_done(&trial.run(&["like", "-g", "lobby", "m1"], b""), "");
    assert_done(
        &trial.run(&["like", "-g", "lobby", "m1", "--undo"], b""),
        "",
    );
    assert_failed(
        &trial.run(&["like", "-g", "lobby", "m7"], b""),
        "there is no such message",
    );
    let json = trial.run(&["like", "-g", "lobby", "m1", "--json"], b"");
    let message: Value = serde_json::from_str(out(&json)).unwrap();
    assert_eq!(message["likes"], 2);
}

#[test]
fn a_time_out_tells_the_last_reason_and_not_that_the_last_attempt_had_no_time_left() {
    let trial = Trial::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for (number, caller) in listener.incoming().enumerate() {
            let mut caller = caller.unwrap();
            if number > 0 {
                silent.push(caller);
                continue;
            }
            let _ = caller.read(&mut [0; 4096]).unwrap();
            let body = r#"{"type":"about:blank","title":"Service Unavailable","status":503,
                "detail":"The database is away.","code":"unavailable","request_id":"1"}"#;
            let head = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
                        content-type: application/problem+json\r\nconnection: close";
            let length = body.len();
            write!(caller, "{head}\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        }
    });

    let output = trial.run_bare(&["view", "-u", "ann", "-s", &server, "--timeout", "3"], b"");

    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("The database is away."), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_fails_is_one_sentence_and_exit_code_1() {
    let trial = Trial::new();
    let failures: [(&[&str], &str); 4] = [
        (
            &["history", "-g", "nowhere", "-u", "ann"],
            "there is no group `nowhere`",
        ),
        (
            &["view", "-u", "-x"],
            "name: begin it with a letter or digit",
        ),
        (
            &["view", "-u", "ann", "--ca", "/nowhere.pem"],
            "the file /nowhere.pem of --ca cannot be read: No such file or directory (os error 2)",
        ),
        (
            &[
                "view",
                "-u",
                "ann",
                "--server",
                "no-such-host.invalid",
                "--timeout",
                "1",
            ],
            "no server has answered for 1 s; the last, no-such-host.invalid:12000: this host \
             name is not known; check its spelling. Check --server, or wait longer with \
             --timeout",
        ),
    ];
    for (arguments, sentence) in failures {
        let server = trial.servers[0].name();
        let mut arguments = arguments.to_vec();
        if !arguments.contains(&"--server") {
            arguments.extend(["--server", &server]);
        }
        let arguments: Vec<_> = arguments
            .iter()
            .map(|word| if *word == "-x" { "-u=-x" } else { word })
            .filter(|word| *word != "-u" || !arguments.contains(&"-x"))
            .collect();
        assert_failed(&trial.run_bare(&arguments, b""), sentence);
    }
}

#[test]
fn wrong_use_is_exit_code_2_with_a_sentence() {
    let trial = Trial::new();
    for (arguments, said) in [
        (
            &["send", "hi", "-u", "ann"][..],
            "send needs a group: add --group NAME",
        ),
        (&["login"], "login needs a name: add --user NAME"),
        (
            &["send", "-g", "lobby", "--lines", "hi"],
            "cannot be used with",
        ),
        (&["like", "-g", "lobby"], "<ID>"),
        (&["nonsense"], "unrecognized subcommand"),
        (&["--json"], "--json is for commands"),
        (
            &["--group", "lobby"],
            "--group needs a name to log in under",
        ),
        (&["view", "--timeout", "soon"], "invalid value 'soon'"),
        (&["--server", "a b"], "that is not a host"),
        (&["man", "nonsense"], "there is no command nonsense"),
        (
            &["--config", "/nowhere.toml"],
            "the settings /nowhere.toml cannot be read",
        ),
    ] {
        let output = trial.run_bare(arguments, b"");

        let sentence = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(sentence.contains(said), "{arguments:?}: {sentence}");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(out(&output), "");
    }
}
