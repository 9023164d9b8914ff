//! What a command requires before it calls a server, and what a failed call leads to.

use causeway_client::{CallError, Client};

use super::{Chat, Link};
use crate::address::short;

impl Chat {
    /// Why no server can be called now.
    pub(super) fn needs_login(&self) -> &'static str {
        match self.link {
            Link::None => "Not connected. Type c and a server, as in: c 127.0.0.1:12001",
            Link::Lost(_) | Link::Expired(_) => {
                "No server answers now. Type c and another server, as in: c 2"
            }
            Link::Connected(_) | Link::LoggedIn(_) => {
                "Log in first: type u and your name, as in: u ann"
            }
        }
    }

    /// The client if logged in; otherwise reports what to do first.
    pub(super) fn logged_in(&mut self) -> Option<Client> {
        if let Link::LoggedIn(client) = &self.link {
            return Some(client.clone());
        }
        self.report_failure(self.needs_login());
        None
    }

    /// The client and the current group; otherwise reports what to do first.
    pub(super) fn in_group(&mut self) -> Option<(Client, String)> {
        let client = self.logged_in()?;
        if let Some(group) = self.state.group.clone() {
            return Some((client, group));
        }
        self.report_failure("You are in no group. Type j and its name, as in: j lobby");
        None
    }

    /// Reports a failed call and acts on it.
    pub(super) fn call_failed(&mut self, error: &CallError) {
        match error {
            error if error.is_lost() => {
                self.lose_server(&error.to_string());
                self.report_failure("the last command was not answered; try it again");
            }
            error if error.is("unauthenticated") => self.login_ended(),
            error => self.report_failure(&error.to_string()),
        }
    }

    pub(super) fn server_name(&self) -> String {
        match &self.link {
            Link::Connected(client) | Link::LoggedIn(client) | Link::Expired(client) => {
                short(client.base()).to_owned()
            }
            Link::Lost(address) => short(address).to_owned(),
            Link::None => "no server".to_owned(),
        }
    }
}
