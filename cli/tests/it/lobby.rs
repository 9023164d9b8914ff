//! The set-up that most tests of the terminal share: ann is in the lobby, and her stream is open.

use crate::fake::{Cluster, Server};
use crate::pty::{Screen, Setup};

pub fn in_lobby() -> (Cluster, Server, Screen) {
    in_lobby_on(&Setup::default())
}

pub fn in_lobby_on(setup: &Setup) -> (Cluster, Server, Screen) {
    let cluster = Cluster::default();
    let server = cluster.start(1);
    let name = server.name();
    let arguments = ["--server", &name, "--user", "ann", "--group", "lobby"];
    let screen = Screen::open_as(setup, &arguments);
    screen.wait("the prompt", |screen| screen.last_row().ends_with('>'));
    cluster.wait_for_requests(1, "GET", "/events");
    (cluster, server, screen)
}
