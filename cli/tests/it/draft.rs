//! The line editor in adverse conditions: a text longer than the window, a suspended program, no
//! cursor reports, a terminal without escape codes.

use crate::fake::Cluster;
use crate::lobby::{in_lobby, in_lobby_on};
use crate::pty::{Reports, Screen, Setup};

#[test]
fn messages_that_come_while_a_long_draft_stands_are_shown() {
    for (rows, cols) in [(24, 80), (8, 20), (4, 10), (3, 40), (2, 30), (1, 30)] {
        for draft in [pasted_lines(24), "x".repeat(1900), "日".repeat(900)] {
            let setup = Setup {
                rows,
                cols,
                ..Setup::default()
            };
            let (cluster, _server, screen) = in_lobby_on(&setup);
            screen.type_in(&format!("\x1b[200~a {draft}\x1b[201~"));
            let end: String = draft.chars().rev().take(1).collect();
            screen.wait("the end of the draft", |screen| {
                let rows = screen.rows();
                let row = &rows[usize::from(screen.cursor().0)];
                row.ends_with(&end) || (screen.cursor().1 == 0 && row.is_empty())
            });

            for text in ["m-one", "m-two", "m-three"] {
                cluster.say("bob", text);
            }
            screen.wait("the messages", |screen| {
                screen
                    .all_rows()
                    .join("")
                    .replace(' ', "")
                    .contains("bob:m-three")
            });
            screen.type_in("\x03");
            screen.wait("the line cleared", |screen| {
                let shown = screen.all_rows_from_end(40).join("").replace(' ', "");
                shown.contains("Ctrl-Conce") && screen.last_row().ends_with('>')
            });

            let all = screen.all_rows().join("").replace(' ', "");
            for text in ["bob:m-one", "bob:m-two", "bob:m-three"] {
                assert_eq!(all.matches(text).count(), 1, "{rows}x{cols} {text}\n{all}");
            }
        }
    }
}

#[test]
fn a_long_draft_is_sent_as_it_was_pasted() {
    let (cluster, _server, screen) = in_lobby();
    let draft = pasted_lines(200);
    screen.type_in(&format!("\x1b[200~a {draft}\x1b[201~"));
    screen.wait_for("of 200");
    cluster.say("bob", "meanwhile");
    screen.wait_for("bob: meanwhile");

    screen.type_in("\r");

    screen.wait("the post", |_| cluster.posts().len() == 1);
    assert_eq!(cluster.posts()[0].body["text"], draft);
    screen.wait_for_prompt("ann@lobby");
}

#[test]
fn control_z_suspends_and_fg_brings_prompt_and_draft_back() {
    let setup = Setup {
        in_shell: true,
        ..Setup::default()
    };
    let (cluster, _server, screen) = in_lobby_on(&setup);
    let settings = screen.settings();
    screen.type_in("a draft text");
    screen.wait_for("ann@lobby> a draft text");

    screen.type_in("\x1a");

    screen.wait("the shell", |screen| screen.last_row() == "shell$");
    assert!(screen.settings().contains("ICANON") || screen.settings() != settings);
    cluster.say("bob", "while away");
    screen.type_in("fg\n");
    screen.wait("prompt and draft", |screen| {
        screen.last_row() == "ann@lobby> a draft text"
    });
    screen.wait_for("bob: while away");
    screen.type_in("!\r");
    screen.wait("the post", |_| cluster.posts().len() == 1);
    assert_eq!(cluster.posts()[0].body["text"], "draft text!");
    let all = screen.all_rows().join("\n");
    assert!(!all.contains("[6n") && !all.contains("^["), "{all}");
}

#[test]
fn after_a_stop_from_outside_fg_brings_prompt_and_draft_back() {
    for signal in ["TSTP", "STOP"] {
        let setup = Setup {
            in_shell: true,
            ..Setup::default()
        };
        let (cluster, _server, screen) = in_lobby_on(&setup);
        screen.type_in("a draft");
        screen.wait_for("ann@lobby> a draft");

        let stop = format!("pkill -{signal} -s {} causeway", screen.process());
        let stopped = std::process::Command::new("sh")
            .args(["-c", &stop])
            .status();
        assert!(stopped.unwrap().success());

        screen.wait("the shell", |screen| screen.last_row() == "shell$");
        cluster.say("bob", "while away");
        screen.type_in("fg\n");
        screen.wait("prompt and draft", |screen| {
            screen.last_row() == "ann@lobby> a draft"
        });
        screen.wait_for("bob: while away");
        screen.wait("prompt and draft", |screen| {
            screen.last_row() == "ann@lobby> a draft"
        });
        let rows = screen.all_rows();
        assert!(rows.iter().any(|row| row.contains("no messages yet")));
        // The shell's output stays, down to the row where the line begins again.
        let back = rows.iter().rposition(|row| row.starts_with("shell$"));
        let shell = rows[back.unwrap()..].join("").replace(' ', "");
        assert!(shell.contains("--grouplobby"), "{signal} {rows:#?}");
        screen.type_in("\x15q\r");
        screen.wait("the shell", |screen| screen.last_row() == "shell$");
    }
}

#[test]
fn without_a_shell_to_come_back_from_control_z_stops_nothing() {
    let (_cluster, _server, screen) = in_lobby();
    screen.type_in("a draft text\x1a!");

    screen.wait_for("ann@lobby> a draft text!");
    screen.wait_for("· there is no shell to return to; q leaves");
}

#[test]
fn a_terminal_that_never_tells_its_cursor_or_tells_it_late_is_as_good() {
    let setup = Setup {
        reports: Reports::Never,
        ..Setup::default()
    };
    let (cluster, _server, screen) = in_lobby_on(&setup);
    screen.type_in("a half");
    screen.wait_for("ann@lobby> a half");
    cluster.say("bob", "hello");
    screen.wait_for("bob: hello");

    screen.type_in("\x1b[7;3R a line");

    screen.wait("the line", |screen| {
        screen.last_row() == "ann@lobby> a half a line"
    });
}

#[test]
fn a_terminal_that_does_not_tell_its_size_has_the_usual_one() {
    let setup = Setup {
        tells_size: false,
        ..Setup::default()
    };
    let (cluster, _server, screen) = in_lobby_on(&setup);
    screen.type_in("a half a line");
    screen.wait_for("ann@lobby> a half a line");
    cluster.say("bob", &"long ".repeat(20));
    screen.wait_for("bob: long");

    let rows = screen.rows();
    let first = rows.iter().find(|row| row.contains("bob: long")).unwrap();
    assert!(first.len() > 70, "{}", rows.join("\n"));
}

#[test]
fn a_terminal_without_codes_is_sent_none() {
    for term in ["dumb", ""] {
        let setup = Setup {
            term,
            ..Setup::default()
        };
        let cluster = Cluster::default();
        let server = cluster.start(1);
        let name = server.name();
        let arguments = ["--server", &name, "--user", "ann", "--group", "lobby"];
        let screen = Screen::open_as(&setup, &arguments);
        screen.wait("the prompt", |screen| {
            screen.last_row().ends_with("ann@lobby>")
        });
        cluster.wait_for_requests(1, "GET", "/events");
        screen.type_in("a half a lime\x7f\x7f");

        cluster.say("bob", &"long ".repeat(40));
        screen.wait_for("bob: long");
        screen.type_in("ne");

        screen.wait("the line anew", |screen| {
            screen.last_row() == "[replica 1 · 1/1 servers up · 0 unsent] ann@lobby> a half a line"
        });
        screen.type_in("\r");
        screen.wait("the post", |_| cluster.posts().len() == 1);
        assert_eq!(cluster.posts()[0].body["text"], "half a line");
        screen.type_in("q\r");
        assert!(!screen.raw().contains('\u{1b}'), "{:?}", screen.raw());
    }
}

#[test]
fn no_colour_is_written_where_none_is_wanted() {
    let setup = Setup {
        variables: vec![("NO_COLOR".into(), "1".into())],
        ..Setup::default()
    };
    let (cluster, _server, screen) = in_lobby_on(&setup);
    cluster.say("bob", "hello");
    screen.wait_for("bob: hello");
    screen.type_in("/\t");
    screen.wait_for("/connect");

    let colours = screen
        .raw()
        .split("\x1b[")
        .skip(1)
        .filter_map(|code| {
            code.find(|c: char| c.is_ascii_alphabetic())
                .map(|end| &code[..=end])
        })
        .filter(|code| code.ends_with('m') && *code != "0m")
        .count();
    assert_eq!(colours, 0, "{:?}", screen.raw());
}

fn pasted_lines(count: usize) -> String {
    let lines: Vec<_> = (1..=count).map(|line| format!("line {line}")).collect();
    lines.join("\n")
}
