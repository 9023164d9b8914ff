//! Pure: the help on all commands, or on one.

use super::{BOLD, Style};
use crate::input::{COMMANDS, Command, KEYS};

impl Style {
    /// The commands and the keys.
    pub fn help(&self) -> Vec<String> {
        let commands = COMMANDS.iter().map(|command| self.help_line(command));
        let keys = KEYS.iter().map(|(key, does)| {
            let key = self.paint(BOLD, &format!("{key:<10}"));
            format!("  {key} {does}")
        });
        let more = "  h and a command show more about it, with examples, as in: h p".to_owned();
        commands.chain(keys).chain([more]).collect()
    }

    fn help_line(&self, command: &Command) -> String {
        let letter = self.paint(BOLD, &format!("{:<1}", command.letter));
        format!(
            "  {letter} {:<24} {:<9} {}",
            command.operand, command.long, command.does
        )
    }

    /// The help on one command.
    pub fn help_for(&self, command: &Command) -> Vec<String> {
        let mut lines = vec![self.help_line(command)];
        if !command.more.is_empty() {
            lines.push(format!("    {}", command.more));
        }
        lines.extend(command.examples.iter().map(|(line, does)| {
            let line = self.paint(BOLD, &format!("{line:<22}"));
            format!("    {line} {does}")
        }));
        lines
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    const PLAIN: Style = Style {
        color: false,
        zone: TimeZone::UTC,
    };

    #[test]
    fn the_help_names_every_command_and_how_to_write_several_lines() {
        let help = PLAIN.help().join("\n");

        for command in &COMMANDS {
            assert!(help.contains(command.long), "{}", command.long);
        }
        assert!(help.contains("Alt-Enter"), "{help}");
    }

    #[test]
    fn the_help_of_a_command_has_its_examples() {
        let send = COMMANDS.iter().find(|command| command.letter == "a");

        let help = PLAIN.help_for(send.unwrap()).join("\n");

        assert!(
            help.contains("a hello") && help.contains("Alt-Enter"),
            "{help}"
        );
    }
}
