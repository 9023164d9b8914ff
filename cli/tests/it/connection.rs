//! Answers that do not come from a Causeway server, servers that do not answer yet, and logins that
//! expire.

use std::net::TcpListener;

use crate::fake::{Cluster, Server};
use crate::gate::{Gate, Mode};
use crate::home::Home;
use crate::program::{Live, run, run_at};
use crate::pty::Screen;

#[test]
fn whatever_is_not_an_answer_of_causeway_is_a_lost_server() {
    let html = "text/html; charset=utf-8";
    let answers = [
        ("502 Bad Gateway", html, "<h1>502 Bad Gateway</h1>"),
        ("500 Internal Server Error", html, "<h1>500</h1>"),
        (
            "504 Gateway Timeout",
            "application/json",
            r#"{"error":"timeout"}"#,
        ),
        ("404 Not Found", html, "<h1>nginx</h1>"),
        (
            "200 OK",
            html,
            "<h1>Welcome to our hotel. Please log in</h1>",
        ),
        ("200 OK", "application/json", r#"{"portal":true}"#),
        ("302 Found", html, ""),
    ];
    std::thread::scope(|scope| {
        for (status, kind, body) in answers {
            scope.spawn(move || {
                told_once_and_taken_up_again(|gate| gate.answer(status, kind, body));
            });
        }
        scope.spawn(|| {
            let cut = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{\"repl";
            told_once_and_taken_up_again(|gate| gate.set(Mode::Answer(cut.to_vec())));
        });
        scope.spawn(|| told_once_and_taken_up_again(|gate| gate.set(Mode::Silent)));
    });
}

fn told_once_and_taken_up_again(stand_between: impl Fn(&Gate)) {
    let cluster = Cluster::default();
    let server = cluster.start(1);
    let gate = Gate::to(server.address);
    let screen = Screen::open(&["--server", &gate.name(), "-u", "ann", "-g", "lobby"]);
    screen.wait_for_prompt("ann@lobby");
    screen.type_in("a half a li");
    cluster.wait_for_requests(1, "GET", "/events");
    cluster.say("bob", "before");
    screen.wait_for("bob: before");

    stand_between(&gate);
    screen.wait_for("no server answers; trying again until one does");
    cluster.say("bob", "meanwhile");
    gate.set(Mode::Open(server.address));

    screen.wait_for("bob: meanwhile");
    screen.wait_for("ann@lobby> a half a li");
    for text in [
        "is lost (",
        "no server answers",
        "bob: before",
        "bob: meanwhile",
    ] {
        let rows = screen.all_rows();
        let count = rows.iter().filter(|row| row.contains(text)).count();
        assert_eq!(count, 1, "{text}:\n{}", rows.join("\n"));
    }
}

#[test]
fn a_server_too_busy_to_let_one_join_costs_neither_group_nor_draft() {
    let cluster = Cluster::default();
    let servers = [cluster.start(1), cluster.start(2)];
    let name = servers[0].name();
    cluster.be_busy(1);
    let screen = Screen::open(&["--server", &name, "-u", "ann", "-g", "lobby"]);
    screen.wait_for_prompt("ann@lobby");
    screen.type_in("a half a li");
    screen.wait_for("ann@lobby> a half a li");

    cluster.be_busy(1);
    servers[1].kill();
    screen.wait("the joins", |_| {
        cluster.requests("PUT", "/members/me").len() == 4
    });
    screen.wait("prompt and draft", |screen| {
        let rows = screen.rows();
        let last = rows.iter().rfind(|row| !row.is_empty());
        last.is_some_and(|row| row == "ann@lobby> a half a li")
    });
    screen.type_in("ne\r");

    screen.wait_for("ann: half a line");
    assert_eq!(cluster.texts(), ["half a line"]);
}

#[test]
fn a_lost_answer_is_asked_for_again_with_the_same_key() {
    let cluster = Cluster::default();
    let server = cluster.start(1);
    let screen = Screen::open(&["--server", &server.name(), "-u", "ann", "-g", "lobby"]);
    screen.wait_for_prompt("ann@lobby");
    cluster.answer_posts_with(1, "504 Gateway Timeout");

    screen.type_in("a once only\r");

    screen.wait_for("ann: once only");
    // The stream may show the message before it is sent again.
    screen.wait("both posts", |_| cluster.posts().len() == 2);
    let posts = cluster.posts();
    assert_eq!(
        posts[0].header("idempotency-key"),
        posts[1].header("idempotency-key")
    );
    assert_eq!(cluster.texts(), ["once only"]);
    assert!(!screen.all_rows().iter().any(|row| row.contains("Not sent")));
}

#[test]
fn an_expired_login_is_renewed_at_the_same_server() {
    for more in [&["--no-failover"][..], &[]] {
        let cluster = Cluster::default();
        let servers: Vec<Server> = (1..=2).map(|replica| cluster.start(replica)).collect();
        let name = servers[0].name();
        let arguments = [&["--server", &name, "-u", "ann", "-g", "lobby"], more].concat();
        let screen = Screen::open(&arguments);
        screen.wait_for_prompt("ann@lobby");
        cluster.end_logins();

        screen.type_in("a x\rb half a line");

        screen.wait_for("the login had expired and was renewed");
        screen.wait_for("ann: x");
        screen.wait_for("ann@lobby> b half a line");
        assert_eq!(cluster.texts(), ["x"]);
        assert_eq!(cluster.replicas_asked(), [1]);
        assert!(
            !screen
                .all_rows()
                .iter()
                .any(|row| row.contains("(no server)"))
        );
        cluster.say("bob", "still followed");
        screen.wait_for("bob: still followed");
    }
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    for more in [&[][..], &["--no-failover"]] {
        let cluster = Cluster::default();
        let place = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let name = place.to_string();
        let arguments = [&["--server", &name, "-u", "ann", "-g", "lobby"], more].concat();
        let screen = Screen::open(&arguments);
        screen.wait_for(&format!(
            "! No connection to {name}: connection refused. Trying again"
        ));
        screen.type_in("a early\r");
        screen.wait_for("kept; it will be sent as soon as a server answers");

        let _server = cluster.start_at(1, place);

        screen.wait_for("connected to replica 1 of cluster test");
        screen.wait_for("ann: early");
        screen.wait_for_prompt("ann@lobby");
        assert_eq!(cluster.texts(), ["early"]);
    }
}

#[test]
fn a_host_name_that_nobody_knows_is_told_of_once() {
    let mut live = Live::start(&[
        "--server",
        "no-such-host.invalid",
        "-u",
        "ann",
        "-g",
        "lobby",
    ]);

    live.wait_for(
        "! No connection to no-such-host.invalid:12000: this host name is not known; check its \
         spelling. Trying again until it answers; c connects elsewhere, q leaves",
    );
    live.type_in("v\n");
    live.wait_for("! No server answers now. Type c and another server, as in: c 2");
}

#[test]
fn a_server_of_another_cluster_is_told_of_and_never_taken_for_the_lost_one() {
    let (cluster, other) = (Cluster::default(), Cluster::named("other"));
    let (server, stranger) = (cluster.start(1), other.start(1));
    let gate = Gate::to(server.address);
    let screen = Screen::open(&["--server", &gate.name(), "-u", "ann", "-g", "lobby"]);
    screen.wait_for_prompt("ann@lobby");

    gate.set(Mode::Open(stranger.address));

    screen.wait_for("it is of another cluster, other");
    screen.type_in("a for my own cluster\r");
    screen.wait_for("kept; it will be sent as soon as a server answers");
    gate.set(Mode::Open(server.address));
    screen.wait_for("ann: for my own cluster");
    assert_eq!(other.texts(), Vec::<String>::new());
    assert_eq!(cluster.texts(), ["for my own cluster"]);
}

#[test]
fn who_asks_for_another_cluster_gets_there_without_group_and_place() {
    let (cluster, other) = (Cluster::default(), Cluster::named("other"));
    let (server, stranger) = (cluster.start(1), other.start(1));

    let output = run(
        &["--server", &server.name(), "-u", "ann", "-g", "lobby"],
        &format!("c {}\na hi\nj lobby\na hi\n", stranger.name()),
    );

    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains("· this is another cluster: you are in no group here"),
        "{shown}"
    );
    assert!(shown.contains("! Not sent: you are in no group"), "{shown}");
    assert_eq!(cluster.texts(), Vec::<String>::new());
    assert_eq!(other.texts(), ["hi"]);
}

#[test]
fn groups_are_told_apart_as_the_server_tells_them_apart() {
    for (group, typed) in [
        ("général", "GÉNÉRAL"),
        ("straße", "STRASSE"),
        ("ge\u{301}ne\u{301}ral", "Général"),
        ("привет", "ПРИВЕТ"),
    ] {
        let cluster = Cluster::default();
        let server = cluster.start(1);

        let output = run(
            &["--server", &server.name(), "-u", "ann", "-g", group],
            &format!("j {typed}\n/leave {typed}\na hi\n"),
        );

        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(
            shown.contains(&format!("· You are already in {typed}\n")),
            "{shown}"
        );
        assert!(
            shown.contains("! Not sent: you are in no group."),
            "{shown}"
        );
    }
}

#[test]
fn input_that_is_not_utf8_is_refused() {
    let cluster = Cluster::default();
    let server = cluster.start(1);

    for input in [&b"a caf\xe9\n"[..], b"a caf\xe9", b"\xff\xfea\n"] {
        let output = run_at(
            &Home::new(),
            &["--server", &server.name(), "-u", "ann", "-g", "lobby"],
            input,
        );

        let shown = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            shown.lines().last(),
            Some(
                "! Not sent: this line is not UTF-8; convert the input first, as in: iconv -f \
                 latin1 -t utf-8"
            )
        );
        assert_eq!(output.status.code(), Some(1));
    }
    assert_eq!(cluster.texts(), Vec::<String>::new());
}
