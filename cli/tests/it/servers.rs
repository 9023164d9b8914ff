//! A server that is lost, and what the chat does then.

use serde_json::json;

use crate::fake::{Cluster, Server};
use crate::pty::Screen;

#[test]
fn the_loss_of_the_server_is_told_at_once() {
    let (cluster, servers, screen) = in_lobby(1, &["--no-failover"]);
    screen.type_in("a half a li");
    screen.wait_for("a half a li");

    servers[0].kill();

    screen.wait_for(&format!("! {} is lost (", servers[0].name()));
    screen.wait_for("you are logged out. Type c");
    screen.wait_for("ann (no server)> a half a li");
    screen.type_in("ne\r");
    screen.wait_for("kept; it will be sent once you connect. Type c and a server, as in: c 2");

    let other = cluster.start(2);
    screen.type_in(&format!("c {}\r", other.name()));

    screen.wait_for("ann: half a line");
    assert_eq!(cluster.texts(), ["half a line"]);
}

#[test]
fn the_next_server_takes_over_with_nothing_missed_and_nothing_twice() {
    let (cluster, servers, screen) = in_lobby(3, &[]);
    cluster.say("bob", "before");
    screen.wait_for("bob: before");

    servers[0].kill();
    cluster.say("bob", "meanwhile");
    screen.wait_for("connected to replica 2");
    cluster.say("bob", "after");

    screen.wait_for("bob: after");
    for text in ["bob: before", "bob: meanwhile", "bob: after"] {
        assert_eq!(
            screen
                .all_rows()
                .iter()
                .filter(|row| row.contains(text))
                .count(),
            1,
            "{text}"
        );
    }
    screen.wait_for_prompt("ann@lobby");
}

#[test]
fn a_message_whose_answer_is_lost_is_sent_again_with_its_key() {
    let (cluster, _servers, screen) = in_lobby(2, &[]);
    cluster.swallow_answers(1);

    screen.type_in("a once only\r");

    screen.wait("both posts", |_| cluster.posts().len() == 2);
    screen.wait_for("ann: once only");
    let keys: Vec<_> = cluster
        .posts()
        .iter()
        .map(|post| post.header("idempotency-key").unwrap().to_owned())
        .collect();
    assert_eq!(keys[0], keys[1]);
    assert_eq!(cluster.texts(), ["once only"]);
}

#[test]
fn what_is_written_without_a_server_is_sent_when_one_is_back() {
    let (cluster, servers, screen) = in_lobby(1, &[]);
    servers[0].kill();
    screen.wait_for("no server answers");
    screen.type_in("a still here\r");
    screen.wait_for("kept; it will be sent as soon as a server answers");

    let other = cluster.start(2);
    screen.type_in(&format!("c {}\r", other.name()));

    screen.wait_for("ann: still here");
    assert_eq!(cluster.texts(), ["still here"]);
}

#[test]
fn a_broken_stream_is_resumed_after_the_last_frame() {
    let (cluster, servers, screen) = in_lobby(1, &[]);
    cluster.say("bob", "one");
    screen.wait_for("bob: one");

    servers[0].break_connections();
    cluster.say("bob", "two");

    screen.wait_for("bob: two");
    let streams = cluster.requests("GET", "/events");
    assert_eq!(streams.last().unwrap().header("last-event-id"), Some("c1"));
    assert_eq!(
        screen
            .all_rows()
            .iter()
            .filter(|row| row.contains("bob: one"))
            .count(),
        1
    );
    assert!(!screen.all_rows().iter().any(|row| row.contains("is lost")));
}

#[test]
fn connecting_elsewhere_keeps_name_group_and_place() {
    let (cluster, servers, screen) = in_lobby(2, &[]);
    cluster.say("bob", "one");
    screen.wait_for("bob: one");
    cluster.be_behind(1);

    screen.type_in("c 2\r");

    screen.wait_for(&format!(
        "connected to replica 2 of cluster test at {} as ann",
        servers[1].name()
    ));
    cluster.wait_for_requests(2, "GET", "/events");
    let streams = cluster.requests("GET", "/events");
    assert_eq!(streams.last().unwrap().header("last-event-id"), Some("c1"));
    let joins = cluster.requests("PUT", "/members/me");
    assert_eq!(joins.len(), 3);
    assert!(joins[2].path.ends_with("?at_least=c1"), "{}", joins[2].path);
    screen.type_in("a two\r");
    screen.wait_for("ann: two");
    assert_eq!(cluster.posts()[0].body["seen"], json!(["c1", "mark-2"]));
}

#[test]
fn connecting_to_nobody_changes_nothing() {
    let (cluster, _servers, screen) = in_lobby(1, &[]);

    screen.type_in("c 127.0.0.1:1\r");

    screen.wait_for("! No connection to 127.0.0.1:1: connection refused; you stay where you were");
    cluster.say("bob", "still here");
    screen.wait_for("bob: still here");
}

#[test]
fn a_server_found_dead_at_the_start_is_told_of() {
    let screen = Screen::open(&["--server", "127.0.0.1:1"]);

    screen.wait_for("! No connection to 127.0.0.1:1: connection refused");
    screen.wait_for_prompt("");
    screen.type_in("u ann\r");
    screen.wait_for("! Not connected. Type c and a server");
}

#[test]
fn a_stream_that_cannot_go_on_starts_again_from_the_snapshot() {
    let (cluster, _servers, screen) = in_lobby(1, &[]);
    cluster.history("bob", "from the past");

    cluster.frame("reset", &json!({}), false);

    screen.wait_for("bob: from the past");
    cluster.wait_for_requests(1, "GET", "/groups/lobby");
    cluster.say("bob", "and on");
    screen.wait_for("bob: and on");
}

fn in_lobby(count: u64, more: &[&str]) -> (Cluster, Vec<Server>, Screen) {
    let cluster = Cluster::default();
    let servers: Vec<_> = (1..=count).map(|replica| cluster.start(replica)).collect();
    let name = servers[0].name();
    let arguments = [
        &["--server", &name, "--user", "ann", "--group", "lobby"],
        more,
    ]
    .concat();
    let screen = Screen::open(&arguments);
    screen.wait_for_prompt("ann@lobby");
    cluster.wait_for_requests(1, "GET", "/events");
    (cluster, servers, screen)
}
