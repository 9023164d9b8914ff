//! Keeps the terminal's status row, completion words and recall file up to date.

use std::fmt::Write as _;
use std::path::PathBuf;

use causeway_client::User;

use super::{Chat, Connection};
use crate::background;
use crate::complete::Vocabulary;
use crate::folders;
use crate::prompt::Status;

/// Maximum number of user names kept for completion.
const NAMES: usize = 5_000;

/// What the terminal has been sent, and what is still to be sent.
#[derive(Debug, Default)]
pub(super) struct TerminalSync {
    words: Vocabulary,
    /// Words not sent to the terminal yet.
    unsent: Vocabulary,
    /// The user whose recall file the terminal uses.
    recall_user: Option<String>,
}

impl TerminalSync {
    pub(super) fn add_users<'a>(&mut self, users: impl IntoIterator<Item = &'a User>) {
        for user in users {
            if self.words.names.len() < NAMES && !self.words.names.contains(&user.name) {
                self.words.names.insert(user.name.clone());
                self.unsent.names.insert(user.name.clone());
            }
        }
    }

    pub(super) fn add_groups(&mut self, groups: impl IntoIterator<Item = String>) {
        for group in groups {
            if self.words.groups.insert(group.clone()) {
                self.unsent.groups.insert(group);
            }
        }
    }
}

impl Chat {
    /// Sends the terminal whatever has changed since the last call.
    pub(super) fn update_terminal(&mut self) {
        if !self.output.is_terminal() {
            return;
        }
        self.output.set_status(Status {
            replica: match self.connection {
                Connection::Connected(_) | Connection::LoggedIn(_) | Connection::Expired(_) => {
                    self.state.replica
                }
                Connection::None | Connection::Lost(_) => None,
            },
            replicas: self.state.replicas(),
            unreached: self.state.unreached(),
            unsent: self.outbox.borrow().len(),
        });
        let replicas = self.state.addresses();
        if replicas != self.terminal.words.replicas {
            self.terminal.words.replicas.clone_from(&replicas);
            self.terminal.unsent.replicas = replicas;
        }
        if self.terminal.unsent != Vocabulary::default() {
            self.output
                .add_words(std::mem::take(&mut self.terminal.unsent));
        }
        if self.terminal.recall_user != self.state.user {
            self.terminal.recall_user.clone_from(&self.state.user);
            if let Some(path) = self.state.user.as_deref().and_then(recall_file) {
                self.output.recall_from(path);
            }
        }
    }

    /// Loads the names of groups for completion, if a person is typing.
    pub(super) fn load_groups(&mut self) {
        if let Connection::LoggedIn(client) = &self.connection
            && self.output.is_terminal()
        {
            let news = self.reports.clone();
            self.tasks.push(background::load_groups(
                client.clone(),
                self.generation,
                news,
            ));
        }
    }
}

/// The recall file of a user; `None` without a home directory.
fn recall_file(user: &str) -> Option<PathBuf> {
    let name = user.bytes().fold(String::new(), |mut name, byte| {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
        name
    });
    Some(folders::state().ok()?.join("lines").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leaves_the_folder() {
        let path = recall_file("../a").unwrap();

        assert!(path.ends_with("causeway/lines/%2E%2E%2Fa"), "{path:?}");
    }
}
