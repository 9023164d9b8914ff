//! Examples below each help text. A test runs each of them against a fake server, whose address
//! replaces 127.0.0.1:12001.

pub(super) const CHAT: &str = "\
Examples:
  causeway                                   chat on replica 1 of this machine
  causeway --user ann --group lobby          and begin in a group
  causeway --server 127.0.0.1:12001          on this server
  printf 'u ann\\nj lobby\\na hello\\n' | causeway   without a terminal: a command per line
  causeway send --user ann --group lobby hello     from a script

Once started, h shows the commands, and h and a command more about it. Tab completes commands,
groups, names, replicas and :emoji; arrow up recalls earlier lines. Alt-Enter begins another line
of a message, and a pasted text of several lines is one message. Each option can also be set by an
environment variable or in ~/.config/causeway/config.toml; causeway config shows what is set where.
Exit code: 0 for success, 1 if something failed, 2 for a wrong command line.";

pub(super) const LOGIN: &str = "\
Examples:
  causeway login --user ann
  causeway login --user ann --server 127.0.0.1:12001

The login is kept in ~/.config/causeway/logins.json, which only you can read.";

pub(super) const LOGOUT: &str = "\
Examples:
  causeway login --user ann && causeway logout";

pub(super) const SEND: &str = "\
Examples:
  causeway send --user ann --group lobby 'the backup is done'
  printf 'two\\nlines\\n' | causeway send --user ann --group lobby
  printf 'one\\nanother\\n' | causeway send --user ann --group lobby --lines
  causeway send --user ann --group lobby -- '--starts with dashes'

The group is joined first if necessary. A message that no server answers within --timeout is kept,
and sent when causeway runs again; the exit code is then 1. Without an earlier causeway login, or
with --outbox none, nothing is kept while no server answers.";

pub(super) const TAIL: &str = "\
Examples:
  causeway tail --user ann --group lobby
  causeway tail --user ann --group lobby --from START --json
  timeout 1 causeway tail --user ann --group lobby --from NOW --follow || true

With --json each line is a change as in the API, with the cursor after it; messages from before
the tail began have none. The last line has the cursor to resume from, on any replica.";

pub(super) const HISTORY: &str = "\
Examples:
  causeway history --user ann --group lobby
  causeway history --user ann --group lobby --json";

pub(super) const MEMBERS: &str = "\
Examples:
  causeway members --user ann --group lobby";

pub(super) const LIKE: &str = "\
Examples:
  causeway like --user bob --group lobby \"$(causeway send --user ann --group lobby hello)\"";

pub(super) const GROUPS: &str = "\
Examples:
  causeway groups --user ann
  causeway groups --user ann --joined --json";

pub(super) const VIEW: &str = "\
Examples:
  causeway view --user ann
  causeway view --user ann --json";

pub(super) const CONFIG: &str = "\
Examples:
  causeway config
  CAUSEWAY_GROUP=lobby causeway config --json

A settings file has lines like: server = \"chat.example:12001\"";

pub(super) const COMPLETIONS: &str = "\
Examples:
  causeway completions bash > causeway.bash
  causeway completions zsh > _causeway";

pub(super) const MAN: &str = "\
Examples:
  causeway man > causeway.1
  causeway man send > causeway-send.1";
