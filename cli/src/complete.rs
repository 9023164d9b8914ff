//! Pure: completion of the word at the cursor.
//!
//! Knows the commands, and what `chat` has reported of groups, users and replicas. Used by `prompt`
//! for its menu.

use std::collections::{BTreeMap, BTreeSet};

use crate::input::{COMMANDS, Command, command_of};
use crate::names;
use crate::text::sanitised_line;

/// Maximum number of choices.
const MOST: usize = 100;

/// The words that can complete another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// Groups.
    pub groups: BTreeSet<String>,
    /// Users.
    pub names: BTreeSet<String>,
    /// Replicas and their addresses.
    pub replicas: BTreeMap<u64, String>,
}

impl Vocabulary {
    /// Adds words. Replicas, if there are any, replace the former ones.
    pub fn add(&mut self, news: Self) {
        self.groups.extend(news.groups);
        self.names.extend(news.names);
        if !news.replicas.is_empty() {
            self.replicas = news.replicas;
        }
    }
}

/// A completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// As the menu shows it.
    pub shown: String,
    /// What takes the word's place.
    pub word: String,
}

/// The completions of the word that ends at the cursor, and where that word begins.
pub fn choices(vocabulary: &Vocabulary, before_cursor: &str) -> (usize, Vec<Choice>) {
    let begin = before_cursor
        .char_indices()
        .rfind(|(_, c)| c.is_whitespace())
        .map_or(0, |(at, space)| at + space.len_utf8());
    let word = &before_cursor[begin..];
    let first = before_cursor.split_whitespace().next().unwrap_or_default();
    let choices = if begin == 0 {
        commands(word, true)
    } else {
        operands(vocabulary, command_of(first), word, before_cursor)
    };
    (begin, choices.into_iter().take(MOST).collect())
}

fn operands(
    vocabulary: &Vocabulary,
    command: Option<&str>,
    word: &str,
    before: &str,
) -> Vec<Choice> {
    let is_first = before.split_whitespace().count() <= 1 + usize::from(!word.is_empty());
    match command {
        Some("j" | "/join" | "/leave") if is_first => matching(&vocabulary.groups, word, "", ""),
        Some("u" | "/user") if is_first => matching(&vocabulary.names, word, "", ""),
        Some("c" | "/connect") if is_first => replicas(vocabulary, word),
        Some("h" | "/help") if is_first => commands(word, false),
        Some("a" | "/send") => in_text(vocabulary, word),
        _ => Vec::new(),
    }
}

fn in_text(vocabulary: &Vocabulary, word: &str) -> Vec<Choice> {
    if let Some(name) = word.strip_prefix(':') {
        return emoji(name);
    }
    if let Some(name) = word.strip_prefix('@') {
        return matching(&vocabulary.names, name, "@", " ");
    }
    if word.is_empty() {
        return Vec::new();
    }
    matching(&vocabulary.names, word, "", " ")
}

/// Compares names as servers do: case does not matter.
fn matching(vocabulary: &BTreeSet<String>, word: &str, before: &str, after: &str) -> Vec<Choice> {
    let word = names::folded(word);
    let fits = vocabulary
        .iter()
        .filter(|name| names::folded(name).starts_with(&word));
    fits.map(|name| Choice {
        shown: sanitised_line(name),
        word: format!("{before}{name}{after}"),
    })
    .collect()
}

fn replicas(vocabulary: &Vocabulary, word: &str) -> Vec<Choice> {
    let replicas = vocabulary
        .replicas
        .iter()
        .map(|(number, address)| (number.to_string(), address));
    let fits = replicas.filter(|(number, _)| number.starts_with(word));
    fits.map(|(number, address)| Choice {
        shown: format!("{number}  {}", sanitised_line(address)),
        word: number,
    })
    .collect()
}

fn commands(word: &str, to_use: bool) -> Vec<Choice> {
    let word = word.to_lowercase();
    let fits = COMMANDS.iter().filter(|command| {
        command.long.starts_with(&word)
            || command.letter == word
            || command.long[1..].starts_with(&word)
    });
    fits.map(|command| Choice {
        shown: format!("{:<1} {:<9} {}", command.letter, command.long, command.does),
        word: form_of(command, &word, to_use),
    })
    .collect()
}

/// The short form, unless the long one was begun.
fn form_of(command: &Command, word: &str, to_use: bool) -> String {
    let form = if command.letter.is_empty() || word.starts_with('/') {
        command.long
    } else {
        command.letter
    };
    let space = if to_use && !command.operand.is_empty() {
        " "
    } else {
        ""
    };
    format!("{form}{space}")
}

fn emoji(name: &str) -> Vec<Choice> {
    if name.is_empty() {
        return Vec::new();
    }
    let name = name.to_lowercase();
    let mut found: Vec<_> = emojis::iter()
        .flat_map(|emoji| emoji.shortcodes().map(move |code| (code, emoji)))
        .filter(|(code, _)| code.starts_with(&name))
        .collect();
    found.sort_by_key(|(code, _)| (code.len(), *code));
    let found = found.into_iter().map(|(code, emoji)| Choice {
        shown: format!("{emoji} :{code}:"),
        word: emoji.as_str().to_owned(),
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Vocabulary {
            groups: set(&["lobby", "london", "général"]),
            names: set(&["ann", "anton", "bob"]),
            replicas: [(1, "http://a:1".to_owned()), (12, "http://b:1".to_owned())].into(),
        }
    }

    fn words(before: &str) -> Vec<String> {
        let (begin, choices) = choices(&vocabulary(), before);
        choices
            .into_iter()
            .map(|choice| before[..begin].to_owned() + &choice.word)
            .collect()
    }

    #[test]
    fn the_first_word_becomes_a_command() {
        assert_eq!(words("/jo"), ["/join "]);
        assert_eq!(words("jo"), ["j "]);
        assert_eq!(words("/hi"), ["/history"]);
        assert_eq!(words("").len(), COMMANDS.len());
    }

    #[test]
    fn groups_are_found_whatever_their_case() {
        assert_eq!(words("j lo"), ["j lobby", "j london"]);
        assert_eq!(words("/leave GÉN"), ["/leave général"]);
        assert_eq!(words("j ").len(), 3);
        assert!(words("j lobby x").is_empty());
    }

    #[test]
    fn names_are_found_as_operand_and_in_a_text() {
        assert_eq!(words("u b"), ["u bob"]);
        assert_eq!(words("a hello @an"), ["a hello @ann ", "a hello @anton "]);
        assert_eq!(words("a thank you bo"), ["a thank you bob "]);
        assert!(words("a hello ").is_empty());
    }

    #[test]
    fn replicas_are_found_by_their_number() {
        assert_eq!(words("c 1"), ["c 1", "c 12"]);
        assert_eq!(choices(&vocabulary(), "c 12").1[0].shown, "12  http://b:1");
    }

    #[test]
    fn emoji_are_found_by_their_short_names() {
        assert_eq!(words("a nice :tada")[0], "a nice 🎉");
        assert!(words("a nice :thumbs").contains(&"a nice 👍".to_owned()));
        assert!(words("a 12:").is_empty());
    }

    #[test]
    fn the_help_is_found_by_command() {
        assert_eq!(words("h /li"), ["h /like"]);
    }
}
