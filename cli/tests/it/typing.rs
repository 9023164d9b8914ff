//! Aids for typing: the menu, recalled lines, messages of several lines, the help.

use std::process::Command;

use crate::fake::Cluster;
use crate::home::Home;
use crate::lobby::in_lobby;
use crate::pty::Screen;

#[test]
fn a_menu_completes_commands_names_and_emoji() {
    let (cluster, _server, screen) = in_lobby();
    cluster.say("Anton", "hello");
    screen.wait_for("Anton: hello");

    screen.type_in("/se\t");
    screen.wait_for("ann@lobby> /send");
    screen.type_in("thanks @AN\t");
    screen.wait_for("ann@lobby> /send thanks @Anton");
    screen.type_in(":tad\t");
    screen.wait_for("@Anton 🎉");
    screen.type_in("\r");

    screen.wait("the post", |_| cluster.posts().len() == 1);
    assert_eq!(cluster.posts()[0].body["text"], "thanks @Anton 🎉");
}

#[test]
fn a_menu_completes_groups_as_the_server_folds_them_and_replicas() {
    let cluster = Cluster::default();
    let servers = [cluster.start(1), cluster.start(2)];
    cluster.name_groups(&["général", "genua", "lobby"]);
    let name = servers[0].name();
    let screen = Screen::open(&["--server", &name, "--user", "ann"]);
    screen.wait_for_prompt("ann");
    cluster.wait_for_requests(1, "GET", "/groups");

    screen.wait("the menu", |screen| {
        screen.type_in("\x15j GÉN\t");
        screen.rows().iter().any(|row| row == "ann> j général")
    });
    screen.type_in("\x15j g\t");
    screen.wait_for("▸ genua");
    screen.type_in("\t\r");
    screen.wait_for("ann> j général");
    screen.type_in("\x15c \t\t");
    screen.wait_for("▸ 2  http://");
    screen.type_in("\r\r");

    screen.wait_for("connected to replica 2");
}

#[test]
fn messages_come_above_an_open_menu() {
    let (cluster, _server, screen) = in_lobby();
    screen.type_in("/\t");
    screen.wait_for("▸ c /connect");

    for text in ["one.", "two.", "three."] {
        cluster.say("bob", text);
    }

    screen.wait_for("bob: three.");
    screen.wait("line and menu", |screen| {
        let rows = screen.rows();
        let line = rows.iter().position(|row| row == "ann@lobby> /");
        line.is_some_and(|line| rows[line + 1].starts_with("▸ c /connect"))
    });
    let rows = screen.all_rows();
    for text in ["bob: one.", "bob: two.", "bob: three."] {
        assert_eq!(rows.iter().filter(|row| row.ends_with(text)).count(), 1);
    }
    assert_eq!(
        rows.iter().filter(|row| row.contains("/connect")).count(),
        1
    );
}

#[test]
fn the_lines_typed_before_are_there_again_for_the_same_user_alone() {
    let home = Home::new();
    let cluster = Cluster::default();
    let server = cluster.start(1);
    let open = |user: &str| {
        let name = server.name();
        let screen = Screen::open_at(
            &home,
            &["--server", &name, "--user", user, "--group", "lobby"],
        );
        screen.wait_for_prompt(&format!("{user}@lobby"));
        screen
    };
    let mut first = open("ann");
    first.type_in("a one\r");
    first.wait_for("ann: one");
    first.type_in("a half a line\x03");
    first.wait_for("Ctrl-C once more");
    first.type_in("q\r");
    first.wait_for_end();

    let second = open("ann");
    second.type_in("a \x1b[A");
    second.wait_for("ann@lobby> a half a line");
    second.type_in("\x1b[A");
    second.wait_for("ann@lobby> a one");
    let other = open("bob");
    other.type_in("a \x1b[A!");
    other.wait_for("bob@lobby> a !");

    let lines = home.path().join(".local/state/causeway/lines/ann");
    let list = Command::new("stat").args(["-c", "%a"]).arg(lines).output();
    assert_eq!(list.unwrap().stdout, b"600\n");
}

#[test]
fn a_draft_that_a_signal_ended_is_among_the_lines_of_the_next_run() {
    let home = Home::new();
    let cluster = Cluster::default();
    let server = cluster.start(1);
    let name = server.name();
    let arguments = ["--server", &name, "--user", "ann", "--group", "lobby"];
    let mut first = Screen::open_at(&home, &arguments);
    first.wait_for_prompt("ann@lobby");
    first.type_in("a precious draft");
    first.wait_for("a precious draft");
    first.terminate();
    first.wait_for_end();

    let second = Screen::open_at(&home, &arguments);
    second.wait_for_prompt("ann@lobby");
    second.type_in("\x1b[A");

    second.wait_for("ann@lobby> a precious draft");
}

#[test]
fn what_is_typed_while_a_command_takes_its_time_is_not_lost_by_its_interruption() {
    let cluster = Cluster::default();
    let server = cluster.start(1);
    let home = Home::new();
    let name = server.name();
    let arguments = ["--server", &name, "--user", "ann", "--group", "lobby"];
    let mut first = Screen::open_at(&home, &arguments);
    first.wait_for_prompt("ann@lobby");
    cluster.hold_answers();
    first.type_in("a slow\r");
    first.wait_for("…>");

    first.type_in("a next line\ra draft");
    // Nothing shows when the keys are read, and the signal discards those that are not.
    std::thread::sleep(std::time::Duration::from_millis(300));
    first.type_in("\x03");
    first.wait_for_end();
    cluster.let_answers_go();

    let second = Screen::open_at(&home, &arguments);
    second.wait_for_prompt("ann@lobby");
    second.type_in("\x1b[A");
    second.wait_for("ann@lobby> a draft");
    second.type_in("\x1b[A");
    second.wait_for("ann@lobby> a next line");
}

#[test]
fn alt_enter_begins_a_line_and_the_help_says_so() {
    let (cluster, _server, screen) = in_lobby();
    screen.type_in("h\r");
    screen.wait_for("Alt-Enter");
    screen.type_in("h a\r");
    screen.wait_for("Alt-Enter begins another line");
    screen.type_in("a one\x1b\rtwo\r");

    screen.wait("the post", |_| cluster.posts().len() == 1);
    assert_eq!(cluster.posts()[0].body["text"], "one\ntwo");
    let help = Command::new(env!("CARGO_BIN_EXE_causeway"))
        .arg("--help")
        .output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    assert!(help.contains("Alt-Enter"), "{help}");
}
