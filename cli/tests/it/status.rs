//! The status row: the replica, how many are up, what is unsent.

use crate::fake::Cluster;
use crate::lobby::in_lobby;
use crate::pty::Screen;

#[test]
fn a_partition_a_lost_server_and_what_is_unsent_are_always_seen() {
    let cluster = Cluster::default();
    let servers = [cluster.start(1), cluster.start(2), cluster.start(3)];
    let name = servers[0].name();
    let screen = Screen::open(&["--server", &name, "--user", "ann", "--group", "lobby"]);
    screen.wait_for_prompt("ann@lobby");
    cluster.wait_for_requests(1, "GET", "/events");
    let says = |wanted: &str| {
        screen.wait(wanted, |screen| {
            let rows = screen.rows();
            let line = rows.iter().rposition(|row| row.starts_with("ann"));
            line.is_some_and(|line| rows[line - 1] == wanted)
        });
    };
    says("─ replica 1 · 3/3 servers up · 0 unsent");

    servers[2].kill();
    cluster.frame("view", &cluster.view(1), false);
    says("─ replica 1 · 2/3 servers up (not 3) · 0 unsent");
    servers[0].kill();
    says("─ replica 2 · 1/3 servers up (not 1, 3) · 0 unsent");
    servers[1].kill();
    says("─ no server · 0 unsent");
    screen.type_in("a one\ra two\r");
    says("─ no server · 2 unsent");
}

#[test]
fn a_command_that_takes_its_time_leaves_the_status_in_view() {
    let (cluster, _server, screen) = in_lobby();
    cluster.hold_answers();

    screen.type_in("a slow\r");

    screen.wait("the status", |screen| {
        let rows = screen.rows();
        let line = rows.iter().position(|row| row == "…>");
        line.is_some_and(|line| rows[line - 1] == "─ replica 1 · 1/1 servers up · 1 unsent")
    });
    screen.type_in("a typed meanwhile");
    cluster.let_answers_go();
    screen.wait_for("ann: slow");
    screen.wait_for("ann@lobby> a typed meanwhile");
    assert!(!screen.all_rows().iter().any(|row| row == "…>"));
}
