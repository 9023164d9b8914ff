//! Pure: the commands and their help.

/// A command: its letter, its long form, its operand, and its help.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// The letter, empty where there is only the long form.
    pub letter: &'static str,
    /// The long form, with its slash.
    pub long: &'static str,
    /// The operand's syntax.
    pub operand: &'static str,
    /// What it does, in one line.
    pub does: &'static str,
    /// Lines to type, and what they lead to.
    pub examples: &'static [(&'static str, &'static str)],
    /// Further help.
    pub more: &'static str,
}

/// Every command in the order of the help.
pub const COMMANDS: [Command; 14] = [
    Command {
        letter: "c",
        long: "/connect",
        operand: "<host[:port] | number>",
        does: "use this server, or the replica with this number",
        examples: &[
            ("c 3", "go to replica 3; v shows the numbers"),
            ("c chat.example:12001", "go to a server by its address"),
        ],
        more: "You keep your name, your group and your place in it.",
    },
    Command {
        letter: "u",
        long: "/user",
        operand: "<name>",
        does: "log in under this name",
        examples: &[("u ann", "you are ann from now on")],
        more: "",
    },
    Command {
        letter: "j",
        long: "/join",
        operand: "<group>",
        does: "go to this group and join it",
        examples: &[("j lobby", "show who is online and the ten newest messages")],
        more: "A group that does not exist yet is created. Tab completes the names of groups.",
    },
    Command {
        letter: "",
        long: "/leave",
        operand: "[group]",
        does: "end your membership of a group",
        examples: &[
            ("/leave", "leave the group you are in"),
            ("/leave lobby", "leave another one"),
        ],
        more: "",
    },
    Command {
        letter: "a",
        long: "/send",
        operand: "<text>",
        does: "send a message to the group",
        examples: &[
            ("a hello", "send hello"),
            ("a nice :tada", "Tab makes an emoji of its short name: 🎉"),
        ],
        more: "Alt-Enter begins another line; a pasted text of several lines is one message. \
               Tab completes names after @ too.",
    },
    Command {
        letter: "l",
        long: "/like",
        operand: "<n>",
        does: "like message n",
        examples: &[("l 5", "like the message that was last shown as 5")],
        more: "",
    },
    Command {
        letter: "r",
        long: "/unlike",
        operand: "<n>",
        does: "take that like back",
        examples: &[("r 5", "no longer like the message that was last shown as 5")],
        more: "",
    },
    Command {
        letter: "",
        long: "/show",
        operand: "<n>",
        does: "show the whole of a long message",
        examples: &[("/show 5", "show message 5, however long it is")],
        more: "",
    },
    Command {
        letter: "p",
        long: "/history",
        operand: "",
        does: "page through the whole history",
        examples: &[(
            "p",
            "continue where you left off, else at the first message",
        )],
        more: "Space shows the next screenful, b the one before, g the beginning, G the end. \
               /words searches what follows, ?words what came before, n again; q stops.",
    },
    Command {
        letter: "",
        long: "/outbox",
        operand: "[drop|edit <n> [text]]",
        does: "list, drop or change messages not sent yet",
        examples: &[
            ("/outbox", "list what waits, and what was refused and why"),
            (
                "/outbox edit 2 hello",
                "change the second, and send it again",
            ),
            ("/outbox drop 2", "never send the second"),
        ],
        more: "Unsent messages are kept on disk, and sent as soon as a server answers.",
    },
    Command {
        letter: "v",
        long: "/view",
        operand: "",
        does: "show the servers and which of them are up",
        examples: &[("v", "each server and its lag, as seen by the one you use")],
        more: "",
    },
    Command {
        letter: "h",
        long: "/help",
        operand: "[command]",
        does: "show this help, or more about a command",
        examples: &[("h", "all commands"), ("h p", "how to page and search")],
        more: "",
    },
    Command {
        letter: "x",
        long: "/clear",
        operand: "",
        does: "clear the screen",
        examples: &[("x", "clear the screen; numbers keep their messages")],
        more: "",
    },
    Command {
        letter: "q",
        long: "/quit",
        operand: "",
        does: "leave the program",
        examples: &[("q", "log out and leave")],
        more: "",
    },
];

/// The keys, for the help.
pub const KEYS: [(&str, &str); 6] = [
    ("Tab", "complete a command, group, name, replica or :emoji"),
    ("Up, Down", "earlier lines that begin like this one"),
    ("Alt-Enter", "another line in the same message"),
    ("Ctrl-Z", "suspend; fg comes back"),
    ("Ctrl-_", "undo an edit"),
    ("Ctrl-C", "drop the line; twice leaves, as does Ctrl-D"),
];
