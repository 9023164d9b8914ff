//! `p` in a terminal: paging in both directions, searching, continuing later; and the numbers in
//! front of messages, which keep their meaning.

use serde_json::json;

use crate::fake::{Cluster, Server};
use crate::lobby::{in_lobby, in_lobby_on};
use crate::pty::{Screen, Setup};

#[test]
fn the_history_is_paged_forwards_and_backwards_and_from_both_ends() {
    let (_cluster, _server, screen) = with_history(100);
    screen.type_in("p\r");
    wait_for_screen(&screen, 1, 23, "more");
    screen.type_in(" ");
    wait_for_screen(&screen, 24, 46, "more");

    screen.type_in("b");
    wait_for_screen(&screen, 1, 23, "more");
    screen.type_in("b");
    screen.wait("the begin", |screen| {
        screen.last_row().starts_with("--begin--")
    });
    screen.type_in("G");
    wait_for_screen(&screen, 78, 100, "end");
    screen.type_in("b");
    wait_for_screen(&screen, 55, 77, "more");
    screen.type_in(" ");
    wait_for_screen(&screen, 78, 100, "end");
    screen.type_in("g");
    wait_for_screen(&screen, 1, 23, "more");
    screen.type_in("q");
    screen.wait_for_prompt("ann@lobby");
}

#[test]
fn words_are_searched_in_both_directions() {
    let (_cluster, _server, screen) = with_history(1500);
    screen.type_in("p\r");
    wait_for_screen(&screen, 1, 23, "more");

    screen.type_in("/TEXT-1203\r");
    wait_for_screen(&screen, 1203, 1225, "more");
    assert!(
        !screen
            .all_rows()
            .iter()
            .any(|row| row.contains("searching"))
    );
    screen.type_in("n");
    screen.wait("nothing more", |screen| {
        screen.last_row().starts_with("--not found--")
    });
    screen.type_in("?text-0777\r");
    wait_for_screen(&screen, 777, 799, "more");
    screen.type_in("?text-07\r");
    wait_for_screen(&screen, 776, 798, "more");
    screen.type_in("n");
    wait_for_screen(&screen, 775, 797, "more");
    screen.type_in("/nowhere\r");
    screen.wait("nothing", |screen| {
        screen.last_row().starts_with("--not found--")
    });
    screen.type_in("/\x03q");
    screen.wait_for_prompt("ann@lobby");
}

#[test]
fn a_pager_can_be_suspended_and_resized() {
    let setup = Setup {
        in_shell: true,
        ..Setup::default()
    };
    let (cluster, _server, screen) = in_lobby_on(&setup);
    for number in 1..=100 {
        cluster.history("bob", &format!("text-{number:04}"));
    }
    screen.type_in("p\r");
    wait_for_screen(&screen, 1, 23, "more");

    screen.type_in("\x1a");
    screen.wait("the shell", |screen| screen.last_row() == "shell$");
    screen.type_in("fg\n");
    screen.wait("the question", |screen| {
        screen
            .last_row()
            .starts_with("--more-- space: next, b: back")
    });
    screen.resize(24, 40);
    screen.wait("a shorter question", |screen| {
        screen.last_row() == "--more-- q: stop"
    });
    screen.type_in("q");
    screen.wait_for_prompt("ann@lobby");
}

#[test]
fn a_text_pasted_while_the_history_is_read_belongs_to_the_line() {
    let (cluster, _server, screen) = with_history(100);
    screen.type_in("p\r");
    wait_for_screen(&screen, 1, 23, "more");

    screen.type_in("\x1b[200~a quick\nbrown\x1b[201~ ");
    wait_for_screen(&screen, 24, 46, "more");
    screen.type_in("\x1b[200~ fox\x1b[201~/\x1b[200~text-0050\x1b[201~\r");
    wait_for_screen(&screen, 50, 72, "more");
    screen.type_in("q");
    screen.wait("the line", |screen| {
        screen.last_row().ends_with("brown fox")
    });
    screen.type_in("!\r");

    screen.wait("the post", |_| cluster.posts().len() == 1);
    assert_eq!(cluster.posts()[0].body["text"], "quick\nbrown fox!");
}

#[test]
fn the_history_goes_on_where_it_was_left() {
    let (_cluster, _server, screen) = with_history(100);
    screen.type_in("p\r");
    wait_for_screen(&screen, 1, 23, "more");
    screen.type_in(" ");
    wait_for_screen(&screen, 24, 46, "more");
    screen.type_in("qa something else\r");
    screen.wait_for("ann: something else");

    screen.type_in("p\r");

    screen.wait_for("· continuing where you left off");
    wait_for_screen(&screen, 47, 69, "more");
}

#[test]
fn a_number_likes_what_it_showed_whatever_came_before_it() {
    let (cluster, _server, screen) = with_history(60);
    let liked = || {
        let likes = cluster.requests("PUT", "/likes/me");
        likes
            .last()
            .map(|like| like.path.clone())
            .unwrap_or_default()
    };
    screen.type_in("p\r");
    wait_for_screen(&screen, 1, 23, "more");
    screen.type_in(" b q");
    screen.wait_for_prompt("ann@lobby");
    screen.type_in("l 5\r");
    screen.wait("the like", |_| liked().contains("/m5/"));

    cluster.insert_before(3, "bob", "late-1");
    cluster.insert_before(3, "bob", "late-2");
    screen.wait_for("late-2");
    screen.type_in("l 5\r");
    screen.wait("the like again", |_| {
        cluster.requests("PUT", "/likes/me").len() == 2
    });
    assert!(liked().contains("/m5/"), "{}", liked());
    screen.type_in("p\r");
    screen.wait_for("continuing where you left off");
    screen.wait_for("text-0060");
    screen.wait_for_prompt("ann@lobby");
    screen.type_in("l 5\r");
    screen.wait("the third like", |_| {
        cluster.requests("PUT", "/likes/me").len() == 3
    });
    assert!(liked().contains("/m5/"), "{}", liked());
}

#[test]
fn a_number_on_the_screen_keeps_its_message_until_another_is_shown_with_it() {
    let (cluster, _server, screen) = in_lobby();
    for number in 1..=60 {
        cluster.history("bob", &format!("text-{number:04}"));
    }
    for _ in 0..40 {
        cluster.say("eve", "new");
    }
    screen.wait_for(" 40 2026-01-01 10:00 eve: new");
    screen.type_in("p\r");
    wait_for_screen(&screen, 1, 23, "more");
    screen.type_in("q");
    screen.wait_for_prompt("ann@lobby");

    screen.type_in("l 30\rl 5\rl 50\r");

    screen.wait_for("! There is no message 50 on this screen");
    let likes = cluster.requests("PUT", "/likes/me");
    let paths: Vec<_> = likes.iter().map(|like| like.path.as_str()).collect();
    assert!(paths.len() == 2, "{paths:?}");
    assert!(
        paths[0].contains("/m90/") && paths[1].contains("/m5/"),
        "{paths:?}"
    );
}

#[test]
fn a_merge_is_announced_and_late_messages_are_marked() {
    let (cluster, _server, screen) = in_lobby();
    cluster.say("bob", "first");
    cluster.say("bob", "second");
    screen.wait_for("bob: second");

    cluster.frame("merged", &json!({"count": 1, "from": 3}), false);
    cluster.insert_before(2, "eve", "meanwhile");
    screen.wait_for("· 1 earlier message from replica 3");
    screen.wait_for("(late) eve: meanwhile");
    cluster.say("bob", "third");

    screen.wait_for("bob: third");
    assert!(
        !screen
            .all_rows()
            .iter()
            .any(|row| row.contains("(late) bob"))
    );
}

#[test]
fn memory_does_not_grow_with_the_history() {
    let (_cluster, _server, screen) = with_history(60_000);
    screen.type_in("p\r");
    screen.wait("the pager", |screen| {
        screen.last_row().starts_with("--more--")
    });
    let before = memory_kb(screen.process());

    screen.type_in("/text-59990\r");

    screen.wait_for("text-59990");
    let after = memory_kb(screen.process());
    assert!(after < before + 8_000, "{before} kB, then {after} kB");
}

fn memory_kb(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.unwrap().split_whitespace().nth(1);
    number.unwrap().parse().unwrap()
}

fn with_history(count: usize) -> (Cluster, Server, Screen) {
    let (cluster, server, screen) = in_lobby();
    for number in 1..=count {
        cluster.history("bob", &format!("text-{number:04}"));
    }
    (cluster, server, screen)
}

/// Waits until the window shows these messages in order above the question.
fn wait_for_screen(screen: &Screen, first: usize, last: usize, word: &str) {
    let wanted: Vec<_> = (first..=last)
        .map(|number| format!("text-{number:04}"))
        .collect();
    screen.wait(&format!("{first} to {last} and --{word}--"), |screen| {
        let rows = screen.rows();
        let shown: Vec<_> = rows
            .iter()
            .filter_map(|row| Some(row.split_once("bob: ")?.1.to_owned()))
            .collect();
        shown.ends_with(&wanted) && screen.last_row().starts_with(&format!("--{word}--"))
    });
}
