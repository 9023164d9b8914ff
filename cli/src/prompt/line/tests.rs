//! Keys, and what the line is after them.

use proptest::prelude::*;

use super::*;
use crate::layout::RowFormat;
use crate::prompt::area::{Scene, area};
use crate::prompt::status::Status;
use crate::scrollback::WindowSize;

fn line_with(typed: &[&str]) -> LineEditor {
    let mut recall = Recall::default();
    for line in typed {
        recall.add(line);
    }
    LineEditor::new(recall)
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> Event {
    Event::Key(KeyEvent::new(code, modifiers))
}

fn press(line: &mut LineEditor, code: KeyCode) -> KeyAction {
    line.press(key(code, KeyModifiers::NONE), &vocabulary())
}

fn type_in(line: &mut LineEditor, text: &str) {
    for c in text.chars() {
        press(line, KeyCode::Char(c));
    }
}

fn vocabulary() -> Vocabulary {
    Vocabulary {
        groups: ["lobby".to_owned(), "london".to_owned()].into(),
        ..Vocabulary::default()
    }
}

#[test]
fn enter_gives_out_the_line_and_begins_another() {
    let mut line = line_with(&[]);
    type_in(&mut line, "a héllo");

    assert_eq!(
        press(&mut line, KeyCode::Enter),
        KeyAction::Submit("a héllo".into())
    );
    assert_eq!(line.text(), "");
}

#[test]
fn alt_enter_and_a_paste_make_lines() {
    let mut line = line_with(&[]);
    type_in(&mut line, "a one");
    line.press(key(KeyCode::Enter, KeyModifiers::ALT), &vocabulary());
    line.press(Event::Paste("two\r\nthree".into()), &vocabulary());

    assert_eq!(line.text(), "a one\ntwo\nthree");
    press(&mut line, KeyCode::Up);
    type_in(&mut line, "X");
    assert_eq!(line.text(), "a one\ntwoX\nthree");
}

#[test]
fn control_z_suspends_and_changes_nothing() {
    let mut line = line_with(&[]);
    type_in(&mut line, "a draft text");

    let action = line.press(
        key(KeyCode::Char('z'), KeyModifiers::CONTROL),
        &vocabulary(),
    );

    assert_eq!((action, line.text()), (KeyAction::Suspend, "a draft text"));
}

#[test]
fn an_edit_can_be_undone() {
    let mut line = line_with(&[]);
    type_in(&mut line, "a draft");
    line.press(
        key(KeyCode::Char('u'), KeyModifiers::CONTROL),
        &vocabulary(),
    );
    assert_eq!(line.text(), "");

    line.press(
        key(KeyCode::Char('7'), KeyModifiers::CONTROL),
        &vocabulary(),
    );

    assert_eq!(line.text(), "a draft");
}

#[test]
fn up_finds_the_lines_that_begin_alike_and_down_comes_back() {
    let mut line = line_with(&["a one", "v", "a two", "j x"]);
    type_in(&mut line, "a");

    press(&mut line, KeyCode::Up);
    assert_eq!(line.text(), "a two");
    press(&mut line, KeyCode::Up);
    press(&mut line, KeyCode::Up);
    assert_eq!(line.text(), "a one");
    press(&mut line, KeyCode::Down);
    assert_eq!(line.text(), "a two");
    press(&mut line, KeyCode::Down);
    assert_eq!(line.text(), "a");
}

#[test]
fn a_dropped_line_can_be_had_back() {
    let mut line = line_with(&[]);
    type_in(&mut line, "a precious");
    line.take();

    press(&mut line, KeyCode::Up);

    assert_eq!(line.text(), "a precious");
}

#[test]
fn tab_opens_a_menu_and_enter_takes_its_choice() {
    let mut line = line_with(&[]);
    type_in(&mut line, "j l");
    press(&mut line, KeyCode::Tab);
    assert_eq!(line.menu().unwrap().shown().0, ["lobby", "london"]);
    press(&mut line, KeyCode::Tab);

    assert_eq!(press(&mut line, KeyCode::Enter), KeyAction::Edit);

    assert_eq!(line.text(), "j london");
    assert_eq!(line.menu(), None);
}

#[test]
fn a_menu_follows_what_is_typed_and_escape_closes_it() {
    let mut line = line_with(&[]);
    type_in(&mut line, "j l");
    press(&mut line, KeyCode::Tab);
    type_in(&mut line, "on");
    assert_eq!(line.menu().unwrap().shown().0, ["london"]);

    press(&mut line, KeyCode::Esc);

    assert_eq!((line.menu(), line.text()), (None, "j lon"));
}

fn any_key() -> impl Strategy<Value = Event> {
    let codes = prop_oneof![
        proptest::sample::select(vec![
            KeyCode::Tab,
            KeyCode::BackTab,
            KeyCode::Enter,
            KeyCode::Esc,
            KeyCode::Up,
            KeyCode::Down,
            KeyCode::Left,
            KeyCode::Right,
            KeyCode::Home,
            KeyCode::End,
            KeyCode::Backspace,
            KeyCode::Delete,
        ]),
        proptest::sample::select(
            "ajlh/:@ ndw7kuyptz日é\u{301}👩\u{200d}\u{5d0}"
                .chars()
                .collect::<Vec<_>>()
        )
        .prop_map(KeyCode::Char),
    ];
    let modifiers = proptest::sample::select(vec![
        KeyModifiers::NONE,
        KeyModifiers::NONE,
        KeyModifiers::NONE,
        KeyModifiers::ALT,
        KeyModifiers::CONTROL,
        KeyModifiers::SHIFT,
    ]);
    let keys = (codes, modifiers).prop_map(|(code, modifiers)| key(code, modifiers));
    prop_oneof![
        20 => keys,
        1 => Just(Event::Paste("a x\r\ny\tz\u{1b}[2J日本".into())),
    ]
}

proptest! {
    #[test]
    fn no_keys_in_no_window_break_the_line(
        keys in proptest::collection::vec(any_key(), 0..60),
        columns in 1_u16..30,
        height in 1_u16..10,
    ) {
        let mut line = line_with(&["a one", "j lobby", "a two\nlines"]);
        let status = Status::default();
        for key in keys {
            line.press(key, &vocabulary());
            prop_assert!(line.text().is_char_boundary(line.cursor()));
            let window = WindowSize { format: RowFormat { columns, has_codes: true }, height };
            let scene = Scene {
                status: &status,
                prompt: "ann@lobby",
                text: line.text(),
                cursor: line.cursor(),
                menu: line.menu().map(Menu::shown),
                has_color: true,
            };
            let area = area(scene, window);
            prop_assert!(area.rows.len() <= usize::from(height));
            prop_assert!(usize::from(area.cursor.0) < area.rows.len());
            prop_assert!(area.cursor.1 < columns);
            prop_assert!(area.rows.iter().all(|(_, wide)| *wide <= columns));
        }
    }
}

#[test]
fn a_menu_does_not_outlive_its_word() {
    let mut line = line_with(&[]);
    type_in(&mut line, "j l");
    press(&mut line, KeyCode::Tab);
    line.press(
        key(KeyCode::Char('7'), KeyModifiers::CONTROL),
        &vocabulary(),
    );

    press(&mut line, KeyCode::Enter);

    assert_eq!(line.menu(), None);
}

#[test]
fn a_single_choice_is_taken_at_once() {
    let mut line = line_with(&[]);
    type_in(&mut line, "/jo");
    press(&mut line, KeyCode::Tab);

    assert_eq!((line.menu(), line.text()), (None, "/join "));
}
