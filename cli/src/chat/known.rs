//! Keeps the terminal's status row, completion words and recall file up to date.

use std::fmt::Write as _;
use std::path::PathBuf;

use causeway_client::User;

use super::{Chat, Link};
use crate::complete::Known;
use crate::feed;
use crate::folders;
use crate::prompt::Status;

/// Maximum number of user names kept for completion.
const NAMES: usize = 5_000;

/// What the terminal has been sent, and what is still to be sent.
#[derive(Debug, Default)]
pub(super) struct Heard {
    known: Known,
    /// Words not sent to the terminal yet.
    news: Known,
    /// The user whose recall file the terminal uses.
    lines_of: Option<String>,
}

impl Heard {
    pub(super) fn of_users<'a>(&mut self, users: impl IntoIterator<Item = &'a User>) {
        for user in users {
            if self.known.names.len() < NAMES && !self.known.names.contains(&user.name) {
                self.known.names.insert(user.name.clone());
                self.news.names.insert(user.name.clone());
            }
        }
    }

    pub(super) fn of_groups(&mut self, groups: impl IntoIterator<Item = String>) {
        for group in groups {
            if self.known.groups.insert(group.clone()) {
                self.news.groups.insert(group);
            }
        }
    }
}

impl Chat {
    /// Sends the terminal whatever has changed since the last call.
    pub(super) fn tell_terminal(&mut self) {
        if !self.output.is_terminal() {
            return;
        }
        self.output.tell_status(Status {
            replica: match self.link {
                Link::Connected(_) | Link::LoggedIn(_) | Link::Expired(_) => self.state.replica,
                Link::None | Link::Lost(_) => None,
            },
            replicas: self.state.replicas(),
            unreached: self.state.unreached(),
            unsent: self.outbox.borrow().len(),
        });
        let replicas = self.state.addresses();
        if replicas != self.heard_of.known.replicas {
            self.heard_of.known.replicas.clone_from(&replicas);
            self.heard_of.news.replicas = replicas;
        }
        if self.heard_of.news != Known::default() {
            self.output
                .tell_known(std::mem::take(&mut self.heard_of.news));
        }
        if self.heard_of.lines_of != self.state.user {
            self.heard_of.lines_of.clone_from(&self.state.user);
            if let Some(path) = self.state.user.as_deref().and_then(file_of) {
                self.output.keep_lines_in(path);
            }
        }
    }

    /// Loads the names of groups for completion, if a person is typing.
    pub(super) fn learn_groups(&mut self) {
        if let Link::LoggedIn(client) = &self.link
            && self.output.is_terminal()
        {
            let news = self.news.clone();
            self.tasks
                .push(feed::learn_groups(client.clone(), self.connection, news));
        }
    }
}

/// The recall file of a user; `None` without a home directory.
fn file_of(user: &str) -> Option<PathBuf> {
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
        let path = file_of("../a").unwrap();

        assert!(path.ends_with("causeway/lines/%2E%2E%2Fa"), "{path:?}");
    }
}
