//! Pure: parses a typed line into an [`Input`], or says what to type instead.
//!
//! Knows the commands and their syntax, and nothing of the connection or the group. Called by
//! `chat` for each line.

mod commands;

pub use self::commands::{COMMANDS, Command, KEYS};
use crate::address::{Target, parse_target};
use crate::text::is_blank;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// `c`: use another server.
    Connect(Target),
    /// `u`: log in under this name.
    User(String),
    /// `j`: go to this group.
    Join(String),
    /// `/leave`: end a membership; without a name, that of the current group.
    Leave(Option<String>),
    /// `a`: send this text.
    Send(String),
    /// `l`: like the message with this number.
    Like(u64),
    /// `r`: withdraw that like.
    Unlike(u64),
    /// `p`: the whole history.
    History,
    /// `/outbox`: list, drop or edit unsent messages.
    Outbox(OutboxCommand),
    /// `v`: the servers.
    View,
    /// `/show`: the whole of the message with this number.
    Show(u64),
    /// `h`: the commands, or one of them.
    Help(Option<&'static Command>),
    /// `x`: an empty screen.
    Clear,
    /// `q`: leave the program.
    Quit,
    /// An empty line.
    Nothing,
}

impl Input {
    /// Whether the lines after this one keep their meaning and their group, whatever it leads to.
    pub fn leaves_group(&self) -> bool {
        match self {
            Self::Send(_)
            | Self::Like(_)
            | Self::Unlike(_)
            | Self::View
            | Self::Help(_)
            | Self::Clear
            | Self::Nothing => true,
            // These may change the group, the user or the numbers in the outbox, or give the keys
            // to the pager.
            Self::Connect(_)
            | Self::User(_)
            | Self::Join(_)
            | Self::Leave(_)
            | Self::Outbox(_)
            | Self::History
            | Self::Show(_)
            | Self::Quit => false,
        }
    }
}

/// What `/outbox` is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutboxCommand {
    /// List them.
    List,
    /// Drop the message with this number.
    Drop(u64),
    /// Send this text in place of the message with this number, or that message once more.
    Edit(u64, Option<String>),
}

/// Why a line cannot be parsed; the text says what to type instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The first word is not a command.
    #[error("{0}")]
    NoCommand(String),
    /// The command's operand is missing or wrong.
    #[error("{0}")]
    Misuse(String),
}

/// Parses a typed line.
///
/// # Errors
/// The line is not a command, or its operand is wrong; the text is the sentence to show.
pub fn parse(line: &str) -> Result<Input, InputError> {
    let line = line.trim();
    let (word, operand) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = operand.trim();
    if word.is_empty() {
        return Ok(Input::Nothing);
    }
    let Some(letter) = command_of(word) else {
        return Err(InputError::NoCommand(no_command(word)));
    };
    match letter {
        "c" | "/connect" => parse_target(rest)
            .map(Input::Connect)
            .map_err(InputError::Misuse),
        "u" | "/user" => one_word(letter, rest, "your name", "u ann").map(Input::User),
        "j" | "/join" => one_word(letter, rest, "the name of a group", "j lobby").map(Input::Join),
        "/leave" if rest.is_empty() => Ok(Input::Leave(None)),
        "/leave" => one_word(letter, rest, "the name of a group", "/leave lobby")
            .map(|group| Input::Leave(Some(group))),
        "a" | "/send" if is_blank(rest) => Err(misuse("a needs the text to send, as in: a hello")),
        "a" | "/send" => Ok(Input::Send(text_of(operand).to_owned())),
        "l" | "/like" => number(letter, rest).map(Input::Like),
        "r" | "/unlike" => number(letter, rest).map(Input::Unlike),
        "p" | "/history" => alone(letter, rest, Input::History),
        "/outbox" => outbox(rest).map(Input::Outbox),
        "v" | "/view" => alone(letter, rest, Input::View),
        "/show" => number(letter, rest).map(Input::Show),
        "h" | "/help" if rest.is_empty() => Ok(Input::Help(None)),
        "h" | "/help" => help(rest),
        "x" | "/clear" => alone(letter, rest, Input::Clear),
        _ => alone(letter, rest, Input::Quit),
    }
}

/// What is to be sent. Between a command and one line of text any space may stand; where there are
/// several lines, the first keeps its indentation.
fn text_of(operand: &str) -> &str {
    if !operand.contains('\n') {
        return operand.trim();
    }
    let text = operand.trim_end();
    let indented = text.len() - text.trim_start().len();
    match text[..indented].rfind('\n') {
        Some(line_end) => &text[line_end + 1..],
        None => text,
    }
}

fn help(word: &str) -> Result<Input, InputError> {
    let form = command_of(word).or_else(|| command_of(&format!("/{word}")));
    let command = COMMANDS
        .iter()
        .find(|command| form.is_some_and(|form| form == command.letter || form == command.long));
    match command {
        Some(command) => Ok(Input::Help(Some(command))),
        None => Err(InputError::NoCommand(unknown(word))),
    }
}

fn unknown(word: &str) -> String {
    let word = crate::text::excerpt(word, 20);
    format!("Unknown command `{word}`; type h for help")
}

/// The form of a command that `word` is, if it is one.
pub fn command_of(word: &str) -> Option<&'static str> {
    let lower = word.to_lowercase();
    COMMANDS
        .iter()
        .flat_map(|command| [command.letter, command.long])
        .find(|form| !form.is_empty() && *form == lower)
}

fn no_command(word: &str) -> String {
    if word.starts_with('/') {
        unknown(word)
    } else {
        "Not sent. To send a message, type a and then its text, as in: a hello".to_owned()
    }
}

fn one_word(letter: &str, rest: &str, what: &str, example: &str) -> Result<String, InputError> {
    let mut words = rest.split_whitespace();
    match (words.next(), words.next()) {
        (Some(word), None) if word.starts_with('.') => {
            Err(misuse("a name begins with a letter or a digit"))
        }
        (Some(word), None) => Ok(word.to_owned()),
        (None, _) => Err(misuse(&format!("{letter} needs {what}, as in: {example}"))),
        (Some(_), Some(_)) => Err(misuse(&format!(
            "{letter} takes one name without spaces, as in: {example}"
        ))),
    }
}

fn outbox(rest: &str) -> Result<OutboxCommand, InputError> {
    let (what, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let rest = rest.trim_start();
    let (number, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let text = text_of(text);
    let number = number.parse().ok().filter(|number| *number > 0);
    match (what.to_lowercase().as_str(), number) {
        ("", _) => Ok(OutboxCommand::List),
        ("drop", Some(number)) if text.is_empty() => Ok(OutboxCommand::Drop(number)),
        ("edit", Some(number)) => Ok(OutboxCommand::Edit(
            number,
            Some(text.to_owned()).filter(|text| !is_blank(text)),
        )),
        _ => Err(misuse(
            "/outbox lists what is not sent yet; /outbox drop 1 forgets a message, /outbox edit \
             1 new text changes it",
        )),
    }
}

fn number(letter: &str, rest: &str) -> Result<u64, InputError> {
    match rest.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(misuse(&format!(
            "{letter} needs the number in front of a message, as in: {letter} 5"
        ))),
    }
}

fn alone(letter: &str, rest: &str, input: Input) -> Result<Input, InputError> {
    if rest.is_empty() {
        return Ok(input);
    }
    Err(misuse(&format!(
        "{letter} stands alone; to send a message, type a and then its text, as in: a hello"
    )))
}

fn misuse(sentence: &str) -> InputError {
    InputError::Misuse(sentence.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_letter_and_a_long_form() {
        let same = [
            ("u ann", "/user ann", Input::User("ann".into())),
            ("j lobby", "/join lobby", Input::Join("lobby".into())),
            (
                "a hello  you ",
                "/send hello  you",
                Input::Send("hello  you".into()),
            ),
            ("l 5", "/like 5", Input::Like(5)),
            ("r 5", "/unlike 5", Input::Unlike(5)),
            ("p", "/history", Input::History),
            ("v", "/view", Input::View),
            ("h", "/help", Input::Help(None)),
            ("x", "/clear", Input::Clear),
            ("q", "/QUIT", Input::Quit),
            ("c 3", "/connect 3", Input::Connect(Target::Replica(3))),
        ];
        for (short, long, input) in same {
            assert_eq!(parse(short), Ok(input.clone()), "{short}");
            assert_eq!(parse(long), Ok(input), "{long}");
        }
    }

    #[test]
    fn leaving_takes_a_group_or_none() {
        assert_eq!(parse("/leave"), Ok(Input::Leave(None)));
        assert_eq!(
            parse("/leave lobby"),
            Ok(Input::Leave(Some("lobby".into())))
        );
    }

    #[test]
    fn the_outbox_is_listed_dropped_from_and_edited() {
        let asked = |line| parse(line).map_err(|error| error.to_string());
        let edit =
            |text: Option<&str>| Input::Outbox(OutboxCommand::Edit(2, text.map(str::to_owned)));

        assert_eq!(asked("/outbox"), Ok(Input::Outbox(OutboxCommand::List)));
        assert_eq!(
            asked("/outbox drop 2"),
            Ok(Input::Outbox(OutboxCommand::Drop(2)))
        );
        assert_eq!(asked("/outbox edit 2"), Ok(edit(None)));
        assert_eq!(asked("/outbox edit  2  a  b"), Ok(edit(Some("a  b"))));
        for line in [
            "/outbox drop",
            "/outbox drop x",
            "/outbox drop 1 2",
            "/outbox empty",
        ] {
            assert!(asked(line).unwrap_err().contains("/outbox drop 1 forgets"));
        }
    }

    #[test]
    fn a_line_without_a_command_is_not_sent() {
        for line in ["hello there", "hello", "å", "1"] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains("a hello"), "{error}");
        }
    }

    #[test]
    fn every_misuse_has_a_sentence_with_an_example() {
        for line in [
            "u",
            "u ann smith",
            "j",
            "a",
            "l",
            "l x",
            "l 0",
            "l -1",
            "r 99999999999999999999",
            "c",
            "j ..",
            "u .",
            "q now",
            "/nonsense",
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.len() > 20, "{line}: {error}");
        }
    }

    #[test]
    fn the_help_of_a_command_is_found_by_letter_word_and_slash() {
        for line in ["h p", "h history", "/help /history", "h /HISTORY"] {
            let Ok(Input::Help(Some(command))) = parse(line) else {
                panic!("{line}")
            };
            assert_eq!(command.letter, "p");
        }
        assert_eq!(
            parse("h nonsense").unwrap_err().to_string(),
            "Unknown command `nonsense`; type h for help"
        );
    }

    #[test]
    fn every_command_has_examples_that_can_be_typed() {
        for command in &COMMANDS {
            assert!(!command.examples.is_empty(), "{}", command.long);
            for (line, _) in command.examples {
                assert!(parse(line).is_ok(), "{line}");
                let word = line.split(' ').next().unwrap();
                assert!(word == command.letter || word == command.long, "{line}");
            }
        }
    }

    #[test]
    fn an_empty_line_asks_for_nothing() {
        assert_eq!(parse(" \t "), Ok(Input::Nothing));
    }

    #[test]
    fn the_text_keeps_its_own_lines() {
        for (line, text) in [
            ("a one\n two", "one\n two"),
            ("a     indented\n  two\n ", "    indented\n  two"),
            ("a\n \n\tcode", "\tcode"),
            ("a   one line ", "one line"),
        ] {
            assert_eq!(parse(line), Ok(Input::Send(text.into())), "{line:?}");
        }
        assert_eq!(
            parse("/outbox edit 2   a\n b"),
            Ok(Input::Outbox(OutboxCommand::Edit(
                2,
                Some("  a\n b".into())
            )))
        );
    }
}
