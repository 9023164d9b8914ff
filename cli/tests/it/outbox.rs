//! The outbox: through outages, crashes, refusals and full disks no message is lost or sent twice.

use std::process::Command;
use std::time::Duration;

use crate::fake::{Cluster, Server};
use crate::gate::{Gate, Mode};
use crate::home::Home;
use crate::program::{command, run_at};
use crate::pty::Screen;

fn open(home: &Home, server: &str) -> Screen {
    open_in(home, server, "lobby")
}

fn open_in(home: &Home, server: &str, group: &str) -> Screen {
    Screen::open_at(home, &["--server", server, "-u", "ann", "-g", group])
}

fn started(replicas: u64) -> (Cluster, Vec<Server>) {
    let cluster = Cluster::default();
    let servers = (1..=replicas)
        .map(|replica| cluster.start(replica))
        .collect();
    (cluster, servers)
}

#[test]
fn what_was_written_without_a_server_is_sent_after_the_terminal_was_closed() {
    let (home, (cluster, servers)) = (Home::new(), started(1));
    let screen = open(&home, &servers[0].name());
    screen.wait_for_prompt("ann@lobby");
    servers[0].kill();
    screen.wait_for("no server answers");
    screen.type_in("a important note\ra and another\r");
    screen.wait("both kept", |screen| {
        let rows = screen.all_rows();
        rows.iter()
            .filter(|row| row.contains("kept; it will be sent"))
            .count()
            == 2
    });
    assert!(screen.hang_up());

    let _server = cluster.start_at(1, servers[0].address);
    let screen = open(&home, &servers[0].name());

    screen.wait_for("still unsent: 2; sending now, /outbox lists them");
    screen.wait_for("ann: and another");
    assert_eq!(cluster.texts(), ["important note", "and another"]);
}

#[test]
fn a_message_beyond_a_rate_limit_is_kept_and_sent_at_the_same_server_in_its_turn() {
    let (home, (cluster, servers)) = (Home::new(), started(2));
    let screen = open(&home, &servers[0].name());
    screen.wait_for_prompt("ann@lobby");
    cluster.limit_posts(2);

    screen.type_in("a one\ra two\r");

    screen.wait_for("not sent yet: Too many requests. Try again in 1 s. It is kept and sent again");
    screen.wait_for("ann: two");
    assert_eq!(cluster.texts(), ["one", "two"]);
}

#[test]
fn a_message_written_before_any_server_answered_survives_too() {
    let (home, (cluster, servers)) = (Home::new(), started(1));
    servers[0].kill();
    let screen = open(&home, &servers[0].name());
    screen.wait_for("Trying again");
    screen.type_in("a early\r");
    screen.wait_for("kept; it will be sent");
    screen.kill();

    let _server = cluster.start_at(1, servers[0].address);
    let screen = open(&home, &servers[0].name());

    screen.wait_for("ann: early");
    assert_eq!(cluster.texts(), ["early"]);
}

#[test]
fn a_message_written_before_any_server_answered_joins_its_group_from_another() {
    let (home, (cluster, servers)) = (Home::new(), started(1));
    cluster.ask_for_joins();
    leave_unsent(&home, &servers[0], "early");

    let _server = cluster.start_at(1, servers[0].address);
    let screen = open_in(&home, &servers[0].name(), "other");

    screen.wait_for("· sent to lobby: early");
    assert_eq!(cluster.texts(), ["early"]);
    let posts = cluster.posts();
    assert!(posts[0].path.contains("/groups/lobby/"));
    let joins = cluster.requests("PUT", "/members/me");
    assert!(
        joins
            .iter()
            .any(|join| join.path.contains("/groups/lobby/"))
    );
}

#[test]
fn a_line_that_arrow_up_does_not_bring_back_is_not_said_to_be_there() {
    let (home, (cluster, servers)) = (Home::new(), started(1));
    leave_unsent(&home, &servers[0], &"x".repeat(4001));

    let _server = cluster.start_at(1, servers[0].address);
    let arguments = ["--server", &servers[0].name(), "-u", "ann", "-g", "other"];
    let output = run_at(&home, &arguments, b"v\n");

    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains("at most 4000 characters. /outbox keeps the text, to edit or drop\n"),
        "{shown}"
    );
    assert!(!shown.contains("Arrow up"), "{shown}");
}

/// Writes to the lobby before any server has answered, and quits.
fn leave_unsent(home: &Home, server: &Server, text: &str) {
    server.kill();
    let mut screen = open(home, &server.name());
    screen.wait_for("Trying again");
    screen.type_in(&format!("a {text}\r"));
    screen.wait_for("kept; it will be sent");
    screen.type_in("q\r");
    screen.wait_for_end();
}

#[test]
fn a_client_killed_while_a_message_is_on_its_way_sends_it_again_with_its_key() {
    // The server has stored the message, and its answer is lost.
    let (home, (cluster, servers)) = (Home::new(), started(1));
    let screen = open(&home, &servers[0].name());
    screen.wait_for_prompt("ann@lobby");
    cluster.hold_answers();
    screen.type_in("a once only\r");
    cluster.wait_for_requests(1, "POST", "/messages");
    screen.kill();
    let other = cluster.start(2);

    cluster.let_answers_go();
    let screen = open(&home, &other.name());

    screen.wait_for("ann: once only");
    cluster.wait_for_requests(2, "POST", "/messages");
    let posts = cluster.posts();
    assert_eq!(
        posts[0].header("idempotency-key"),
        posts[1].header("idempotency-key")
    );
    assert_eq!(cluster.texts(), ["once only"]);
}

#[test]
fn a_client_killed_before_the_server_got_it_sends_it_later() {
    let (home, (cluster, servers)) = (Home::new(), started(1));
    let gate = Gate::to(servers[0].address);
    let screen = open(&home, &gate.name());
    screen.wait_for_prompt("ann@lobby");
    gate.set(Mode::Silent);
    screen.type_in("a into the void\r");
    wait_until_kept(&home, "into the void");
    screen.kill();
    assert_eq!(cluster.texts(), Vec::<String>::new());

    let screen = open(&home, &servers[0].name());

    screen.wait_for("ann: into the void");
    assert_eq!(cluster.texts(), ["into the void"]);
}

/// Waits until a text is in a file of the outbox.
fn wait_until_kept(home: &Home, text: &str) {
    let path = home.path().join(".local/state/causeway/outbox/ann.outbox");
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !std::fs::read_to_string(&path).is_ok_and(|kept| kept.contains(text)) {
        assert!(std::time::Instant::now() < deadline, "never kept: {text}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_replica_that_does_not_know_of_the_join_yet_is_waited_for() {
    let (_, (cluster, servers)) = (Home::new(), started(1));
    let screen = open(&Home::new(), &servers[0].name());
    screen.wait_for_prompt("ann@lobby");
    cluster.forget_joins(2);

    screen.type_in("a patience\r");

    screen.wait_for("not sent yet: not here yet. It is kept and sent again");
    screen.wait_for("ann: patience");
    let posts = cluster.posts();
    assert_eq!(posts.len(), 4);
    assert!(
        posts[1].path.contains("at_least=mark-1"),
        "{}",
        posts[1].path
    );
    assert!(!screen.all_rows().iter().any(|row| row.contains("Not sent")));
}

#[test]
fn a_refused_message_is_shown_with_its_reason_and_kept_to_be_edited() {
    let (home, (cluster, servers)) = (Home::new(), started(1));
    let long = "x".repeat(4001);
    let name = servers[0].name();
    let arguments = ["--server", &name, "-u", "ann", "-g", "lobby"];

    let output = run_at(&home, &arguments, format!("a {long}\n/outbox\n").as_bytes());
    let shown = String::from_utf8(output.stdout).unwrap();
    let excerpt = format!("{}…", "x".repeat(59));
    let sentence = format!("! Not sent ({excerpt}): text: at most 4000 characters. Arrow up");
    assert!(shown.contains(&sentence), "{shown}");
    let listed = format!("! 1 to lobby, refused: text: at most 4000 characters: {excerpt}\n");
    assert!(shown.contains(&listed), "{shown}");
    assert_eq!(output.status.code(), Some(1));

    let output = run_at(&home, &arguments, b"/outbox edit 1 shorter\n/outbox\n");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains("· refused earlier: 1; /outbox lists them"),
        "{shown}"
    );
    assert!(shown.contains("ann: shorter"), "{shown}");
    assert!(shown.contains("· nothing waits to be sent\n"), "{shown}");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(cluster.texts(), ["shorter"]);
}

#[test]
fn a_message_can_be_dropped_and_one_that_may_be_sent_cannot_be_changed() {
    let (home, (cluster, servers)) = (Home::new(), started(1));
    let screen = open(&home, &servers[0].name());
    screen.wait_for_prompt("ann@lobby");
    cluster.hold_answers();
    screen.type_in("a perhaps sent\r");
    cluster.wait_for_requests(1, "POST", "/messages");
    servers[0].kill();
    screen.wait_for("no server answers");
    screen.type_in("a never sent\r/outbox\r");
    screen.wait_for("· 1 to lobby, not sent yet: perhaps sent");

    screen.type_in("/outbox edit 1 other\r/outbox drop 2\r/outbox drop 7\r/outbox\r");

    screen.wait_for("! Not changed: a server may already have stored 1");
    screen.wait_for("· dropped: never sent");
    screen.wait_for("! There is no message 7 in /outbox");
    cluster.let_answers_go();
    let _server = cluster.start_at(1, servers[0].address);
    screen.wait_for("ann: perhaps sent");
    screen.type_in("a after it\r");
    screen.wait_for("ann: after it");
    assert_eq!(cluster.texts(), ["perhaps sent", "after it"]);
}

#[test]
fn who_quits_is_told_what_is_kept() {
    let (home, (_, servers)) = (Home::new(), started(1));
    let mut screen = open(&home, &servers[0].name());
    screen.wait_for_prompt("ann@lobby");
    servers[0].kill();
    screen.wait_for("no server answers");
    screen.type_in("a one\ra two\rq\r");

    screen.wait_for_end();

    screen.wait_for("! 2 not sent; kept, and sent when causeway runs again as ann");
}

#[test]
fn two_clients_of_one_name_have_an_outbox_each() {
    let (home, (cluster, servers)) = (Home::new(), started(1));
    let one = open(&home, &servers[0].name());
    one.wait_for_prompt("ann@lobby");
    let other = open(&home, &servers[0].name());
    other.wait_for_prompt("ann@lobby");
    servers[0].kill();
    for (screen, text) in [(&one, "of one"), (&other, "of the other")] {
        screen.wait_for("no server answers");
        screen.type_in(&format!("a {text}\r"));
        screen.wait_for("kept; it will be sent");
    }
    one.kill();
    other.kill();

    let _server = cluster.start_at(1, servers[0].address);
    let third = open(&home, &servers[0].name());

    third.wait_for("ann: of the other");
    assert_eq!(cluster.texts(), ["of one", "of the other"]);
}

#[test]
fn without_a_folder_that_can_be_written_nothing_is_sent_and_the_way_out_is_named() {
    let (home, (cluster, servers)) = (Home::new(), started(1));
    std::fs::create_dir(home.path().join(".local")).unwrap();
    std::fs::write(home.path().join(".local/state"), "a file").unwrap();
    let name = servers[0].name();
    let arguments = ["--server", &name, "-u", "ann", "-g", "lobby"];

    let output = run_at(&home, &arguments, b"a hi\n");

    let shown = String::from_utf8(output.stdout).unwrap();
    let sentence = "the outbox ~/.local/state/causeway/outbox cannot be used: Not a directory \
        (os error 20). Make it writable, name another folder with --outbox, or add --outbox \
        none, to send without keeping";
    let unwritable = format!("! Not sent: {sentence}. Arrow up brings the line back");
    assert_eq!(shown.lines().last(), Some(unwritable.as_str()), "{shown}");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(cluster.texts(), Vec::<String>::new());
    let elsewhere = home.path().join("elsewhere");
    for outbox in ["none", elsewhere.to_str().unwrap()] {
        let arguments = [&arguments[..], &["--outbox", outbox]].concat();
        assert!(run_at(&home, &arguments, b"a hi\n").status.success());
    }
    assert_eq!(cluster.texts(), ["hi", "hi"]);
    assert!(elsewhere.join("ann.outbox").exists());
    let mut relative = command(&home);
    relative.args([
        "send", "-g", "lobby", "-u", "ann", "-s", &name, "--outbox", "a/b", "hi",
    ]);
    assert!(
        relative
            .current_dir(home.path())
            .status()
            .unwrap()
            .success()
    );
    assert!(home.path().join("a/b/ann.outbox").exists());
}

#[test]
fn on_a_full_disk_nothing_is_sent_that_is_not_kept() {
    let (home, (cluster, servers)) = (Home::new(), started(1));
    let program = command(&home);
    // As a full disk: no file may grow.
    let line = format!(
        "trap '' XFSZ; ulimit -f 0; exec {} --server {} -u ann -g lobby",
        program.get_program().to_str().unwrap(),
        servers[0].name()
    );
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &line])
        .stdin(std::process::Stdio::piped());
    shell.stdout(std::process::Stdio::piped());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let mut child = shell.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"a precious\n").unwrap();
    drop(stdin);

    let output = child.wait_with_output().unwrap();

    let shown = String::from_utf8(output.stdout).unwrap();
    let sentence = "! Not sent: the outbox cannot be written (File too large (os error 27)); \
        make room for it, or start with --outbox none. Arrow up brings the line back";
    assert_eq!(shown.lines().last(), Some(sentence), "{shown}");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(cluster.texts(), Vec::<String>::new());
}

#[test]
fn an_outbox_of_a_newer_version_is_left_alone() {
    let (home, (_, servers)) = (Home::new(), started(1));
    let folder = home.path().join(".local/state/causeway/outbox");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("ann.outbox");
    let newer = "{\"causeway_outbox\":2}\n{\"add\":{\"text\":\"from the future\"}}\n";
    std::fs::write(&path, newer).unwrap();

    let output = run_at(
        &home,
        &["--server", &servers[0].name(), "-u", "ann", "-g", "lobby"],
        b"a hi\n",
    );

    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains(
            "! Nothing can be sent: the outbox \
            ~/.local/state/causeway/outbox/ann.outbox cannot be used: it was written by a newer \
            version of this program. Install the newer one"
        ),
        "{shown}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), newer);
}
