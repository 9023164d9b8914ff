//! Messages that arrive while a line is being typed: none is lost, none is shown twice, and the
//! line is unchanged.

use std::time::Duration;

use serde_json::json;

use crate::fake::Cluster;
use crate::lobby::in_lobby;
use crate::pty::Screen;

#[test]
fn messages_appear_above_a_short_line() {
    survives_messages("hello wor", 9);
}

#[test]
fn messages_appear_above_a_wrapped_line() {
    survives_messages(&"x".repeat(200), 200);
}

#[test]
fn messages_appear_above_a_line_that_wraps_because_of_the_prompt() {
    survives_messages(&"x".repeat(72), 72);
}

#[test]
fn messages_appear_above_a_line_that_fills_its_row() {
    survives_messages(&"x".repeat(80 - "ann@lobby> ".len()), 69);
}

#[test]
fn messages_appear_above_accents() {
    survives_messages(&"é".repeat(60), 60);
}

#[test]
fn messages_appear_above_wide_characters() {
    survives_messages(&"日".repeat(50), 100);
}

#[test]
fn messages_appear_above_emoji() {
    survives_messages(&"🙂".repeat(45), 90);
}

#[test]
fn messages_appear_above_a_line_edited_in_its_middle() {
    let (cluster, _server, screen) = in_lobby();
    screen.type_in(&"é".repeat(100));
    screen.wait("the line", |screen| {
        on_line(screen) == format!("ann@lobby> {}", "é".repeat(100))
    });
    screen.type_in(&"\x1b[D".repeat(80));
    screen.wait("the cursor in the first row", |screen| {
        screen.cursor().1 == 31
    });

    say_one_by_one(&cluster, &screen, 30);
    screen.type_in("X");

    let line = format!("ann@lobby> {}X{}", "é".repeat(20), "é".repeat(80));
    screen.wait("the line with an X", |screen| on_line(screen) == line);
    assert_eq!(screen.cursor().1, 32);
    assert_shown_once(&screen, 30);
}

#[test]
fn a_burst_of_messages_is_shown_whole() {
    let (cluster, _server, screen) = in_lobby();
    screen.type_in("a half a li");
    screen.wait("the line", |screen| {
        on_line(screen) == "ann@lobby> a half a li"
    });

    for number in 1..=200 {
        cluster.say("bob", &text_of(number));
    }
    screen.wait_for(&label(200));
    screen.type_in("ne\r");

    screen.wait("the sent line", |_| cluster.posts().len() == 1);
    assert_eq!(cluster.posts()[0].body["text"], "half a line");
    assert_shown_once(&screen, 200);
}

#[test]
fn a_resized_terminal_keeps_line_and_messages() {
    let (cluster, _server, screen) = in_lobby();
    let typed = "abcdefghij".repeat(10);
    screen.type_in(&typed);
    screen.wait("the line", |screen| {
        on_line(screen) == format!("ann@lobby> {typed}")
    });
    say_one_by_one(&cluster, &screen, 5);

    for (cols, upto) in [(60, 10), (100, 15), (80, 20)] {
        screen.resize(24, cols);
        let line = format!("ann@lobby> {typed}");
        screen.wait("the line again", |screen| on_line(screen).ends_with(&line));
        for number in upto - 4..=upto {
            cluster.say("bob", &text_of(number));
            screen.wait_for(&label(number));
        }
    }

    screen.wait("the whole line", |screen| on_line(screen).ends_with(&typed));
    assert_shown_once(&screen, 20);
}

#[test]
fn a_pasted_text_of_several_lines_is_one_message() {
    let (cluster, _server, screen) = in_lobby();
    screen.type_in("\x1b[200~a first\nsecond\x1b[201~");
    screen.wait_for("second");
    say_one_by_one(&cluster, &screen, 5);

    screen.type_in("\r");

    screen.wait("the post", |_| cluster.posts().len() == 1);
    assert_eq!(cluster.posts()[0].body["text"], "first\nsecond");
    assert_shown_once(&screen, 5);
}

#[test]
fn what_is_typed_while_commands_run_and_messages_come_is_not_lost() {
    let (cluster, _server, screen) = in_lobby();
    let typed: Vec<_> = (1..=60).map(|number| format!("line {number}")).collect();

    for text in &typed {
        cluster.say("bob", "meanwhile");
        let line = format!("a {text}\r");
        for key in line.chars() {
            screen.type_in(&key.to_string());
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    screen.wait("all posts", |_| cluster.posts().len() >= typed.len());
    let sent: Vec<_> = cluster
        .texts()
        .into_iter()
        .filter(|text| text != "meanwhile")
        .collect();
    assert_eq!(sent, typed);
    screen.wait_for_prompt("ann@lobby");
}

#[test]
fn a_terminal_that_goes_away_ends_the_program() {
    let (_cluster, _server, screen) = in_lobby();
    screen.type_in("half a line");
    screen.wait_for("half a line");

    assert!(screen.hang_up(), "it still runs");
}

#[test]
fn a_sent_line_becomes_the_message_and_tells_where_it_is_kept() {
    let cluster = Cluster::default();
    let servers = [cluster.start(1), cluster.start(2)];
    let name = servers[0].name();
    let screen = Screen::open(&["--server", &name, "--user", "ann", "--group", "lobby"]);
    screen.wait_for_prompt("ann@lobby");
    cluster.wait_for_requests(1, "GET", "/events");

    let long = format!("{}.", "é".repeat(90));
    screen.type_in(&format!("a {long}\r"));
    screen.wait_for("1/2");
    stored_everywhere(&cluster, "m1");
    screen.wait_for(".  2/2");
    screen.type_in("a more\r");
    screen.wait_for("ann: more  1/2");
    cluster.say("bob", "hello");
    screen.wait_for("bob: hello");
    stored_everywhere(&cluster, "m2");
    screen.wait_for("2 is on 2/2 servers");

    screen.wait_for_prompt("ann@lobby");
    let rows = screen.rows();
    let begin = rows
        .iter()
        .position(|row| row.contains("no messages"))
        .unwrap()
        + 1;
    let expected = [
        format!("  1 2026-01-01 10:00 ann: {}", "é".repeat(54)),
        format!("      {}.  2/2", "é".repeat(36)),
        "  2 2026-01-01 10:00 ann: more  1/2".to_owned(),
        "  3 2026-01-01 10:00 bob: hello".to_owned(),
        "· 2 is on 2/2 servers".to_owned(),
        "─ replica 1 · 2/2 servers up · 0 unsent".to_owned(),
        "ann@lobby>".to_owned(),
    ];
    assert_eq!(rows[begin..begin + 7], expected, "{}", rows.join("\n"));
}

#[test]
fn the_history_stops_at_each_full_screen() {
    let (cluster, _server, screen) = in_lobby();
    for number in 1..=50 {
        cluster.history("bob", &label(number));
    }

    screen.type_in("p\r");
    screen.wait_for("--more--");
    assert!(!screen.all_rows().iter().any(|row| row.contains(&label(24))));
    screen.type_in(" ");
    screen.wait_for(&label(40));
    screen.type_in("q");

    screen.wait_for_prompt("ann@lobby");
    assert!(
        !screen
            .all_rows()
            .iter()
            .any(|row| row.contains("--more--") || row.contains(&label(50)))
    );
    assert_shown_once(&screen, 46);
}

#[test]
fn the_terminal_is_given_back_as_it_was() {
    for end in ["q\r", "/quit\r", "\x04"] {
        let (_cluster, _server, mut screen) = in_lobby();

        screen.type_in(end);

        assert_eq!(screen.wait_for_end(), 0);
        screen.assert_as_before();
    }
}

#[test]
fn control_c_twice_leaves() {
    let (_cluster, _server, mut screen) = in_lobby();
    screen.type_in("a half a line\x03");
    screen.wait_for("Ctrl-C once more leaves");
    screen.wait_for_prompt("ann@lobby");

    screen.type_in("\x03");

    assert_eq!(screen.wait_for_end(), 0);
    screen.assert_as_before();
}

#[test]
fn control_c_is_a_key_and_no_signal_while_messages_come_in_above_the_line() {
    let (cluster, _server, screen) = in_lobby();
    screen.type_in("half a line");
    screen.wait_for("half a line");

    for number in 1..=30 {
        cluster.say("bob", &text_of(number));
        screen.wait(&label(number), |screen| {
            // The state between two reads of keys is short-lived, so check often.
            for _ in 0..200 {
                assert!(!screen.settings().contains("ISIG"), "Ctrl-C is a signal");
            }
            screen.rows().iter().any(|row| row.contains(&label(number)))
        });
    }
    screen.type_in("\x03");

    screen.wait_for("Ctrl-C once more leaves");
}

#[test]
fn a_program_told_to_end_gives_the_terminal_back() {
    for (typed, seen) in [("half a line", "half a line"), ("p\r", "--more--")] {
        let (cluster, _server, mut screen) = in_lobby();
        for number in 1..=50 {
            cluster.history("bob", &label(number));
        }
        screen.type_in(typed);
        screen.wait_for(seen);

        screen.terminate();

        assert_eq!(screen.wait_for_end(), 1);
        screen.assert_as_before();
    }
}

#[test]
fn an_empty_screen_keeps_its_prompt() {
    let (cluster, _server, screen) = in_lobby();
    cluster.say("bob", "before");
    screen.wait_for("bob: before");

    screen.type_in("x\r");

    screen.wait("only the status and a prompt", |screen| {
        screen.rows().join("|").trim_end_matches('|')
            == "─ replica 1 · 1/1 servers up · 0 unsent|ann@lobby>"
    });
    cluster.say("bob", "after");
    screen.wait_for("bob: after");
    screen.type_in("l 1\r");
    screen.wait_for("ann likes 1 (bob: before)");
}

fn stored_everywhere(cluster: &Cluster, id: &str) {
    let stored = json!({"id": id, "stored_on": [1, 2], "settled": false});
    cluster.frame("stored", &stored, false);
}

/// Types a line, sends 40 messages one by one and then some at once, and checks the screen.
fn survives_messages(typed: &str, columns: u16) {
    let (cluster, _server, screen) = in_lobby();
    screen.type_in(typed);
    let line = format!("ann@lobby> {typed}");
    screen.wait("the line", |screen| on_line(screen) == line);

    say_one_by_one(&cluster, &screen, 40);
    for number in 41..=60 {
        cluster.say("bob", &text_of(number));
    }
    screen.wait_for(&label(60));

    screen.wait("the line as typed", |screen| on_line(screen) == line);
    let end = (11 + columns) % 80;
    if typed.is_ascii() {
        assert_eq!(screen.cursor().1, end);
    }
    assert_shown_once(&screen, 60);
    assert_eq!(
        screen
            .all_rows()
            .iter()
            .filter(|row| row.contains("ann@lobby>"))
            .count(),
        1
    );
}

fn say_one_by_one(cluster: &Cluster, screen: &Screen, count: usize) {
    for number in 1..=count {
        cluster.say("bob", &text_of(number));
        screen.wait(&label(number), |screen| {
            screen.rows().iter().any(|row| row.contains(&label(number)))
                && on_line(screen).starts_with("ann@lobby>")
        });
    }
}

fn label(number: usize) -> String {
    format!("message-{number:03}.")
}

/// Short texts and long ones, some longer than a row.
fn text_of(number: usize) -> String {
    label(number) + &"y".repeat(number % 5 * 22)
}

/// The text from the last prompt on, its rows joined.
fn on_line(screen: &Screen) -> String {
    let rows = screen.rows();
    let begin = rows
        .iter()
        .rposition(|row| row.starts_with("ann@lobby>"))
        .unwrap_or(0);
    rows[begin..].concat()
}

/// Every message once and in order.
fn assert_shown_once(screen: &Screen, count: usize) {
    let rows = screen.all_rows();
    let shown: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            row.split_once("message-")?
                .1
                .get(..3)?
                .parse::<usize>()
                .ok()
        })
        .collect();
    assert_eq!(
        shown,
        (1..=count).collect::<Vec<_>>(),
        "{}",
        rows.join("\n")
    );
}
