//! What a command requires before it calls a server, and what a failed call leads to.

use causeway_client::{CallError, Client};

use super::{Chat, Connection};
use crate::address::short;

impl Chat {
    /// Why no server can be called now.
    pub(super) fn needs_login(&self) -> &'static str {
        match self.connection {
            Connection::None => "Not connected. Type c and a server, as in: c 127.0.0.1:12001",
            Connection::Lost(_) | Connection::Expired(_) => {
                "No server answers now. Type c and another server, as in: c 2"
            }
            Connection::Connected(_) | Connection::LoggedIn(_) => {
                "Log in first: type u and your name, as in: u ann"
            }
        }
    }

    /// The client if logged in; otherwise reports what to do first.
    pub(super) fn logged_in(&mut self) -> Option<Client> {
        if let Connection::LoggedIn(client) = &self.connection {
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
        match &self.connection {
            Connection::Connected(client)
            | Connection::LoggedIn(client)
            | Connection::Expired(client) => short(client.base()).to_owned(),
            Connection::Lost(address) => short(address).to_owned(),
            Connection::None => "no server".to_owned(),
        }
    }
}
