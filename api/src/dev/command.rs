//! What can be typed while the cluster runs.

/// What `help` answers.
pub(super) const HELP: &str = "\
status            what each replica holds, and which links are cut
cut 1,2|3,4,5     cut every link between the sides (cut 3: replica 3 from all others)
heal              make every link whole again
kill 3            kill -9 of replica 3 (and 4, 5: kill 4,5)
start 3           start it again, on the data it had
quit              stop everything (so does Ctrl-C)";

/// A line, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Nothing,
    Help,
    Status,
    /// The sides between which every link is cut.
    Cut(Vec<Vec<u16>>),
    Heal,
    Kill(Vec<u16>),
    Start(Vec<u16>),
    Quit,
}

/// Understands a line, or says what is not understood.
pub(super) fn parse(line: &str, known: &[u16]) -> Result<Command, String> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let alone = |command: Command| {
        if rest.trim().is_empty() {
            Ok(command)
        } else {
            Err(format!("`{word}` stands alone"))
        }
    };
    match word.to_lowercase().as_str() {
        "" => Ok(Command::Nothing),
        "help" | "h" | "?" => alone(Command::Help),
        "status" | "s" => alone(Command::Status),
        "heal" => alone(Command::Heal),
        "quit" | "q" | "exit" => alone(Command::Quit),
        "cut" => sides(rest, known).map(Command::Cut),
        "kill" => numbers(rest, known).map(Command::Kill),
        "start" => numbers(rest, known).map(Command::Start),
        other => Err(format!("`{other}` is not a command; help lists them")),
    }
}

/// Reads `1,2|3,4,5`; one side alone is cut from all the others.
fn sides(text: &str, known: &[u16]) -> Result<Vec<Vec<u16>>, String> {
    let mut sides = text
        .split('|')
        .map(|side| numbers(side, known))
        .collect::<Result<Vec<_>, _>>()?;
    if let [only] = sides.as_slice() {
        let others: Vec<u16> = known
            .iter()
            .copied()
            .filter(|number| !only.contains(number))
            .collect();
        if others.is_empty() {
            return Err("nobody is left on the other side".to_owned());
        }
        sides.push(others);
    }
    for (place, side) in sides.iter().enumerate() {
        if let Some(twice) = side.iter().find(|number| {
            sides[place + 1..]
                .iter()
                .any(|other| other.contains(number))
        }) {
            return Err(format!("replica {twice} cannot be on two sides"));
        }
    }
    Ok(sides)
}

fn numbers(text: &str, known: &[u16]) -> Result<Vec<u16>, String> {
    let words = text
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty());
    let numbers = words
        .map(|word| {
            let number = word.parse().ok().filter(|number| known.contains(number));
            number.ok_or_else(|| format!("`{word}` is not the number of a replica"))
        })
        .collect::<Result<Vec<u16>, String>>()?;
    if numbers.is_empty() {
        Err("which replica? such as 3 or 1,2|3,4,5".to_owned())
    } else {
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: &[u16] = &[1, 2, 3, 4, 5];

    #[test]
    fn what_help_lists_is_understood() {
        assert_eq!(parse("", FIVE), Ok(Command::Nothing));
        assert_eq!(parse(" STATUS ", FIVE), Ok(Command::Status));
        assert_eq!(parse("heal", FIVE), Ok(Command::Heal));
        assert_eq!(parse("quit", FIVE), Ok(Command::Quit));
        assert_eq!(parse("kill 3", FIVE), Ok(Command::Kill(vec![3])));
        assert_eq!(parse("start 4, 5", FIVE), Ok(Command::Start(vec![4, 5])));
        assert_eq!(
            parse("cut 1,2|3,4,5", FIVE),
            Ok(Command::Cut(vec![vec![1, 2], vec![3, 4, 5]]))
        );
        assert_eq!(
            parse("cut 1 | 2 | 3", FIVE),
            Ok(Command::Cut(vec![vec![1], vec![2], vec![3]]))
        );
    }

    #[test]
    fn one_side_alone_is_cut_from_the_others() {
        assert_eq!(
            parse("cut 3", FIVE),
            Ok(Command::Cut(vec![vec![3], vec![1, 2, 4, 5]]))
        );
    }

    #[test]
    fn what_makes_no_sense_is_answered_with_a_sentence() {
        for (line, word) in [
            ("dance", "dance"),
            ("kill", "which"),
            ("kill 6", "`6`"),
            ("kill me", "`me`"),
            ("cut 1,2|2,3", "replica 2"),
            ("cut 1,2,3,4,5", "nobody"),
            ("cut 1||2", "which"),
            ("status now", "alone"),
        ] {
            let said = parse(line, FIVE).unwrap_err();
            assert!(said.contains(word), "{line}: {said}");
        }
    }
}
