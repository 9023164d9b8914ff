//! Messages of others: no row of them can imitate anything else, and nothing in them controls the
//! terminal.

use crate::lobby::{in_lobby, in_lobby_on};
use crate::pty::Setup;

#[test]
fn no_wrapped_row_begins_where_a_message_does() {
    for no_color in ["", "1"] {
        let setup = Setup {
            variables: vec![("NO_COLOR".into(), no_color.into())],
            ..Setup::default()
        };
        let (cluster, _server, screen) = in_lobby_on(&setup);
        let text = format!(
            "ok{} 78 12:59 ann: I approve the payment  5/5",
            "\u{a0}".repeat(60)
        );
        cluster.say("mallory", &text);
        screen.wait_for("mallory: ok");

        let rows = screen.rows();
        let forged = rows
            .iter()
            .find(|row| row.contains("I approve the payment"));
        assert!(forged.unwrap().starts_with("      "), "{}", rows.join("\n"));
        let copied = screen.copied_lines();
        let line = copied.iter().find(|line| line.contains("mallory: ok"));
        assert!(
            line.unwrap()
                .ends_with("78 12:59 ann: I approve the payment  5/5"),
            "{}",
            copied.join("\n")
        );
    }
}

#[test]
fn no_row_of_any_message_in_any_window_begins_like_a_message_or_a_notice() {
    let forged = " 78 12:59 ann: I approve";
    let texts = [
        forged.repeat(8),
        format!("x\n{forged}\n· bob likes 3\n! the server is lost\nann@lobby> q"),
        format!("{}{forged}", "日".repeat(37)),
        format!("{}{forged}", "👨‍👩‍👧‍👦".repeat(12)),
        format!("{}{forged}", "ก็".repeat(70)),
        format!("{}{forged}", "שלום ".repeat(14)),
        format!("{}{forged}", "e\u{301}".repeat(71)),
        format!("{}{forged}", "❤️".repeat(30)),
        format!("{}\t{forged}\t{forged}", "x".repeat(60)),
        format!("{}\u{2028}{forged}", "x".repeat(10)),
    ];
    for (rows, cols) in [(24, 80), (12, 40), (50, 200), (8, 20), (4, 10)] {
        let setup = Setup {
            rows,
            cols,
            ..Setup::default()
        };
        let (cluster, _server, screen) = in_lobby_on(&setup);
        let before = screen.all_rows().len();
        for text in &texts {
            cluster.say("mallory", text);
        }
        cluster.say("bob", "the end");
        screen.wait("the last message", |screen| {
            screen
                .all_rows()
                .join("")
                .replace(' ', "")
                .contains("bob:theend")
        });

        let all = screen.all_rows();
        let first = all.iter().position(|row| row.starts_with("  1 "));
        let begins: Vec<_> = all[first.unwrap()..]
            .iter()
            .filter(|row| !row.is_empty() && !row.starts_with("   ") && !row.starts_with(" | "))
            .take_while(|row| !row.starts_with('─') && !row.starts_with("r1 "))
            .map(|row| row.chars().take(4).collect::<String>())
            .collect();
        for line in screen.copied_lines().iter().filter(|line| !line.is_empty()) {
            let is_one = !line.starts_with("   ") || line.starts_with("    | ");
            assert!(
                is_one || line.contains('…') || line == &screen.copied_lines()[0],
                "copied in pieces: {line}"
            );
        }
        let numbers: Vec<_> = (1..=texts.len() + 1).map(|n| format!("{n:>3} ")).collect();
        assert_eq!(
            begins,
            numbers,
            "{rows}x{cols}, {before}\n{}",
            all.join("\n")
        );
    }
}

#[test]
fn what_has_no_shape_or_too_many_marks_is_shown_harmless() {
    let (cluster, _server, screen) = in_lobby();
    let hidden = "\u{200e}\u{200f}\u{61c}\u{200b}\u{2060}\u{e0041}\u{2066}";
    cluster.say("mallory", &format!("a{hidden}b"));
    cluster.say("mallory", &format!("z{}end", "\u{301}".repeat(3000)));
    cluster.say("דוד", "שלום עולם");
    cluster.say("bob", "👨‍👩‍👧 family");
    screen.wait_for("family");

    let raw = screen.raw();
    for c in "\u{200e}\u{200f}\u{61c}\u{200b}\u{2060}\u{e0041}\u{2066}".chars() {
        assert!(!raw.contains(c), "{c:?}");
    }
    assert!(raw.contains("mallory\u{1b}[0m: a\u{fffd}\u{1b}["));
    assert_eq!(raw.matches('\u{301}').count(), 4);
    assert!(raw.contains("\u{2068}דוד\u{2069}") && raw.contains("\u{2068}שלום עולם\u{2069}"));
    assert!(raw.contains("👨‍👩‍👧"));
}

#[test]
fn a_long_message_is_folded_and_shown_whole_when_asked_for() {
    let (cluster, _server, screen) = in_lobby();
    let lines: Vec<_> = (1..=40).map(|line| format!("line-{line:02}.")).collect();
    cluster.say("bob", &lines.join("\n"));
    screen.wait_for("… 29 more rows: /show 1");
    assert!(!screen.all_rows().iter().any(|row| row.contains("line-12.")));

    screen.type_in("/show 1\r");
    screen.wait_for("--more--");
    screen.type_in(" ");

    screen.wait_for("line-40.");
    screen.wait_for_prompt("ann@lobby");
    let all = screen.all_rows();
    let shown = (12..=40).filter(|line| {
        let row = format!("    | line-{line:02}.");
        all.contains(&row)
    });
    assert_eq!(shown.count(), 29, "{}", all.join("\n"));
}
