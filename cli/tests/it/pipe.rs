//! The program without a terminal: commands from standard input, a line per message, an exit code.

use serde_json::json;

use crate::fake::Cluster;
use crate::program::{Live, run};

#[test]
fn commands_from_a_pipe_are_carried_out_one_after_the_other() {
    let cluster = Cluster::default();
    let server = cluster.start(1);
    cluster.history("bob", "hello");

    let output = run(
        &["--server", &server.name()],
        "\u{feff}u ann\nj lobby\na hi bob\r\nl 1\n",
    );

    assert!(output.status.success(), "{output:?}");
    let shown = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = shown.lines().collect();
    assert!(
        lines[0].starts_with("· connected to replica 1 of cluster test"),
        "{shown}"
    );
    assert_eq!(
        lines[1..],
        [
            "· logged in as ann; j goes to a group, as in: j lobby",
            "lobby: 2 members",
            "· online: bob",
            "  1 2026-01-01 10:00 bob: hello",
            "  2 2026-01-01 10:00 ann: hi bob  1/1",
            "· ann likes 1 (bob: hello), now 1 like",
        ]
    );
    assert!(!shown.contains('\u{1b}'));
}

#[test]
fn what_fails_is_told_and_makes_the_exit_code_1() {
    let cluster = Cluster::default();
    let server = cluster.start(1);
    let misuses = [
        ("a hi", "! Log in first: type u and your name, as in: u ann"),
        (
            "j lobby",
            "! Log in first: type u and your name, as in: u ann",
        ),
        ("u -x", "! name: begin it with a letter or digit"),
        (
            "u ann\na hi",
            "! Not sent: you are in no group. Type j and its name, as in: j lobby",
        ),
        (
            "u ann\nj lobby\nhello",
            "! Not sent. To send a message, type a and then its text, as in: a hello",
        ),
        (
            "u ann\nj lobby\nl 7",
            "! There is no message 7 on this screen; p shows them all",
        ),
        (
            "u ann\nj lobby\na hi\nl 1",
            "! this message is your own, and cannot be liked by you",
        ),
        (
            "u ann\nj lobby\na hi\nr 1",
            "! you have no like on this message to take back",
        ),
        (
            "c 127.0.0.1:1",
            "! No connection to 127.0.0.1:1: connection refused; you stay where you were",
        ),
        (
            "nonsense",
            "! Not sent. To send a message, type a and then its text, as in: a hello",
        ),
    ];
    for (input, sentence) in misuses {
        let output = run(&["--server", &server.name()], input);

        let shown = String::from_utf8(output.stdout).unwrap();
        assert_eq!(shown.lines().last(), Some(sentence), "{input}: {shown}");
        assert_eq!(output.status.code(), Some(1), "{input}");
    }
}

#[test]
fn the_same_name_and_the_same_group_again_change_nothing() {
    let cluster = Cluster::default();
    let server = cluster.start(1);

    let output = run(
        &["--server", &server.name()],
        "u ann\nu ann\nj lobby\nj lobby\n",
    );

    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains("· You are already ann\n") && shown.contains("· You are already in lobby\n"),
        "{shown}"
    );
    assert_eq!(cluster.requests("POST", "/sessions").len(), 1);
    assert_eq!(cluster.requests("PUT", "/members/me").len(), 1);
}

#[test]
fn too_long_a_text_is_told_and_nothing_else_is_lost() {
    let cluster = Cluster::default();
    let server = cluster.start(1);

    let input = format!("u ann\nj lobby\na {}\na short\n", "é".repeat(4001));
    let output = run(&["--server", &server.name()], &input);

    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains("text: at most 4000 characters. Arrow up"),
        "{shown}"
    );
    assert_eq!(cluster.texts(), ["short"]);
}

#[test]
fn the_history_goes_through_a_pipe_in_pages() {
    let cluster = Cluster::default();
    let server = cluster.start(1);
    for number in 1..=1234 {
        cluster.history("bob", &format!("text {number}."));
    }

    let output = run(
        &[
            "--server",
            &server.name(),
            "--user",
            "ann",
            "--group",
            "lobby",
        ],
        "p\nl 7\n",
    );

    let shown = String::from_utf8(output.stdout).unwrap();
    let history: Vec<_> = shown
        .lines()
        .skip_while(|line| !line.ends_with("text 1."))
        .collect();
    assert_eq!(history.len(), 1235, "{shown}");
    assert_eq!(
        history[1233].trim_start(),
        "1234 2026-01-01 10:00 bob: text 1234."
    );
    assert_eq!(history[1234], "· ann likes 7 (bob: text 7.), now 1 like");
    assert_eq!(cluster.requests("GET", "/messages").len(), 4);
}

#[test]
fn what_others_do_is_shown_as_it_happens() {
    let cluster = Cluster::default();
    let server = cluster.start(1);
    let peer = cluster.start(2);
    let mut live = Live::start(&[
        "--server",
        &server.name(),
        "--user",
        "ann",
        "--group",
        "lobby",
    ]);
    live.wait_for("· no messages yet");
    live.type_in("a mine\n");
    live.wait_for("ann: mine  1/2");

    let mut theirs = cluster.say("bob", "hostile \u{1b}[2J\u{9b}31m\nand\tmore");
    cluster.frame(
        "stored",
        &json!({"id": "m1", "stored_on": [1, 2], "settled": false}),
        false,
    );
    cluster.frame(
        "presence",
        &json!({"online": [{"id": "eve", "name": "eve"}], "offline": [], "count": 2}),
        false,
    );
    cluster.frame(
        "presence",
        &json!({"online": [], "offline": [{"id": "bob", "name": "bob"}], "count": 1}),
        false,
    );
    cluster.frame(
        "join",
        &json!({"id": "joe", "name": "joe", "online": false}),
        true,
    );
    cluster.frame(
        "leave",
        &json!({"id": "joe", "name": "joe", "online": false}),
        true,
    );
    theirs["likes"] = json!(2);
    theirs["by"] = json!({"id": "eve", "name": "eve"});
    cluster.frame("like", &theirs, true);
    cluster.frame("unlike", &theirs, true);
    cluster.frame("merged", &json!({"count": 3, "from": 4}), false);
    cluster.frame("moved", &theirs, true);
    cluster.frame("sticker", &json!("from a newer server"), true);
    let view = json!({"self": {"replica": 1, "epoch": "x", "public_url": "http://a",
        "vector": [1, 1]}, "peers": [{"replica": 2,
        "public_url": format!("http://{}", peer.address), "internal_url": "http://x",
            "status": "down", "out": "failing",
        "since": "2026-01-01T00:00:00Z", "last_heard_ms": 4000, "rtt_ms": null,
            "missing_here": 0, "missing_there": 3}]});
    cluster.frame("view", &view, false);

    for expected in [
        "  2 2026-01-01 10:00 bob: hostile \u{fffd}[2J\u{fffd}31m",
        "    | and\tmore",
        "· 1 is on 2/2 servers",
        "· online: eve (2 now)",
        "· offline: bob (1 now)",
        "· joe has joined",
        "· joe has left the group",
        "· eve likes 2 (bob: hostile \u{fffd}[2J\u{fffd}31m and more), now 2 likes",
        "· eve no longer likes 2 (bob: hostile \u{fffd}[2J\u{fffd}31m and more), now 2 likes",
        "· 3 earlier messages from replica 4; p shows the whole history in order",
        "· 2 (bob) now stands earlier in the history",
        "· replica 2 is down",
    ] {
        live.wait_for(expected);
    }
}

#[test]
fn leaving_a_group_ends_its_stream() {
    let cluster = Cluster::default();
    let server = cluster.start(1);

    let output = run(
        &["--server", &server.name(), "-u", "ann", "-g", "lobby"],
        "/leave\na hi\n/leave other\n",
    );

    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains("· you are no longer a member of lobby\n"),
        "{shown}"
    );
    assert!(
        shown.contains("! Not sent: you are in no group."),
        "{shown}"
    );
    assert!(
        shown.contains("· you are no longer a member of other\n"),
        "{shown}"
    );
}

#[test]
fn the_servers_are_shown_in_a_table() {
    let cluster = Cluster::default();
    let server = cluster.start(1);
    let peer = cluster.start(2);

    let output = run(&["--server", &server.name(), "-u", "ann"], "v\n");

    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains(&format!("\n* 1        {}  here", server.name())),
        "{shown}"
    );
    assert!(
        shown.contains(&format!("\n  2        {}  up", peer.name())),
        "{shown}"
    );
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for arguments in [
        &["--server", "no such"][..],
        &["--group", "lobby"],
        &["--nonsense"],
    ] {
        let output = run(arguments, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn help_shows_examples() {
    let output = run(&["--help"], "");
    assert!(output.status.success());
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("Examples:\n  causeway")
    );
}

#[test]
fn every_command_is_in_the_help() {
    let cluster = Cluster::default();
    let server = cluster.start(1);

    let output = run(&["--server", &server.name()], "h\n");

    let shown = String::from_utf8(output.stdout).unwrap();
    let long = [
        "connect", "user", "join", "leave", "send", "like", "unlike", "history", "view", "help",
        "clear", "quit",
    ];
    for name in long {
        assert!(shown.contains(&format!(" /{name} ")), "{name}: {shown}");
    }
}
