//! Type-ahead: lines entered while a command hangs survive when the program is killed.

use std::time::{Duration, Instant};

use crate::fake::{Cluster, Server};
use crate::gate::{Gate, Mode};
use crate::home::Home;
use crate::pty::Screen;

#[test]
fn a_message_written_while_another_hangs_survives_a_kill() {
    let (home, cluster, server, screen) = in_lobby();
    cluster.hold_answers();
    screen.type_in("a first\r");
    cluster.wait_for_requests(1, "POST", "/messages");
    screen.type_in("a second\r/unknown\ra third\r");
    wait_until_kept(&home, "outbox/ann.outbox", "third");
    screen.kill();

    cluster.let_answers_go();
    let screen = open(&home, &server, "lobby");

    screen.wait_for("ann: third");
    assert_eq!(cluster.texts(), ["first", "second", "third"]);
}

#[test]
fn a_message_kept_ahead_is_sent_once_when_its_turn_comes() {
    let (home, cluster, server, screen) = in_lobby();
    cluster.hold_answers();
    screen.type_in("a first\r");
    cluster.wait_for_requests(1, "POST", "/messages");
    screen.type_in("a second\r");
    wait_until_kept(&home, "outbox/ann.outbox", "second");

    cluster.let_answers_go();
    server.break_connections();

    screen.wait_for("ann: second");
    screen.type_in("/outbox\r");
    screen.wait_for("· nothing waits to be sent");
    assert_eq!(cluster.texts(), ["first", "second"]);
}

#[test]
fn a_line_whose_group_is_not_known_yet_is_among_the_lines_of_the_next_run() {
    let (home, cluster, server, screen) = in_lobby();
    cluster.hold_joins(1);
    screen.type_in("j other\r");
    cluster.wait_for_requests(2, "PUT", "/members/me");
    screen.type_in("a second\ra third\r");
    wait_until_kept(&home, "lines/ann", "third");
    screen.kill();

    let screen = open(&home, &server, "lobby");
    screen.wait_for_prompt("ann@lobby");

    screen.type_in("\x1b[A");
    screen.wait_for("ann@lobby> a third");
    screen.type_in("\x1b[A");
    screen.wait_for("ann@lobby> a second");
    assert_eq!(cluster.texts(), Vec::<String>::new());
}

#[test]
fn a_message_is_kept_for_its_group_as_soon_as_the_group_is_known() {
    let (home, cluster, server, screen) = in_lobby();
    cluster.hold_answers();
    screen.type_in("j other\ra first\ra second\r");
    cluster.wait_for_requests(1, "POST", "/messages");
    wait_until_kept(&home, "outbox/ann.outbox", "second");
    screen.kill();

    cluster.let_answers_go();
    let screen = open(&home, &server, "other");

    screen.wait_for("ann: second");
    assert_eq!(cluster.texts(), ["first", "second"]);
    for post in cluster.posts() {
        assert!(post.path.contains("/groups/other/"), "{}", post.path);
    }
}

#[test]
fn a_line_ended_before_the_first_server_answers_is_among_those_of_the_next_run() {
    let (home, cluster) = (Home::new(), Cluster::default());
    let server = cluster.start(1);
    let gate = Gate::to(server.address);
    gate.set(Mode::Silent);
    let name = gate.name();
    let screen = Screen::open_at(&home, &["--server", &name, "-u", "ann", "-g", "lobby"]);
    screen.wait_for("…>");
    screen.type_in("a early\r");
    wait_until_kept(&home, "lines/ann", "early");
    let rows = screen.all_rows();
    assert!(!rows.iter().any(|row| row.contains("No connection")));
    screen.kill();

    let screen = open(&home, &server, "lobby");
    screen.wait_for_prompt("ann@lobby");
    screen.type_in("\x1b[A");
    screen.wait_for("ann@lobby> a early");
}

#[test]
fn commands_typed_ahead_decide_the_group_of_what_follows() {
    let (_home, cluster, _server, screen) = in_lobby();

    screen.type_in("a one\rj other\ra two\ra three\rj lobby\ra four\r");

    screen.wait_for("ann: four");
    let groups: Vec<_> = cluster.posts().into_iter().map(|post| post.path).collect();
    let expected = ["lobby", "other", "other", "lobby"];
    for (path, group) in groups.iter().zip(expected) {
        assert!(path.contains(&format!("/groups/{group}/")), "{groups:?}");
    }
    assert_eq!(cluster.texts(), ["one", "two", "three", "four"]);
}

fn in_lobby() -> (Home, Cluster, Server, Screen) {
    let (home, cluster) = (Home::new(), Cluster::default());
    let server = cluster.start(1);
    let screen = open(&home, &server, "lobby");
    screen.wait_for_prompt("ann@lobby");
    (home, cluster, server, screen)
}

fn open(home: &Home, server: &Server, group: &str) -> Screen {
    Screen::open_at(
        home,
        &["--server", &server.name(), "-u", "ann", "-g", group],
    )
}

/// Waits until a text is in one of the program's files.
fn wait_until_kept(home: &Home, file: &str, text: &str) {
    let path = home.path().join(".local/state/causeway").join(file);
    let deadline = Instant::now() + Duration::from_secs(5);
    while !std::fs::read_to_string(&path).is_ok_and(|kept| kept.contains(text)) {
        assert!(Instant::now() < deadline, "never kept: {text}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
