//! A lost server, and failover to the next.

use tokio::time::{Duration, Instant};

use super::{Announced, Chat, Connection};
use crate::address::short;
use crate::backoff::chance;

/// A connection that lasted longer than this was a good one: the next server is tried at once.
const GOOD: Duration = Duration::from_secs(10);

impl Chat {
    /// Ends the connection to a server that no longer answers.
    pub(super) fn lose_server(&mut self, reason: &str) {
        let (Connection::Connected(client)
        | Connection::LoggedIn(client)
        | Connection::Expired(client)) = &self.connection
        else {
            return;
        };
        self.connection = Connection::Lost(client.base().to_owned());
        self.new_connection();
        let logged_out = if self.state.user.is_some() {
            ": you are logged out"
        } else {
            ""
        };
        let next = if self.looks_for_servers() {
            ""
        } else {
            ". Type c and a server, as in: c 2"
        };
        let warning = format!(
            "{} is lost ({reason}){logged_out}{next}",
            self.server_name()
        );
        self.show(self.style.warning(&warning));
        self.update_terminal();
        if self.connected_at.is_some_and(|at| at.elapsed() > GOOD) {
            self.backoff.worked();
            self.try_again_at = Some(Instant::now());
        } else {
            self.try_again_later();
        }
        if !self.looks_for_servers() {
            self.refresh_prompt();
        }
    }

    /// The first server is waited for even without failover.
    pub(super) fn looks_for_servers(&self) -> bool {
        self.state.user.is_some() && (self.failover || self.connected_at.is_none())
    }

    pub(super) fn try_again_later(&mut self) {
        self.try_again_at = Some(Instant::now() + self.backoff.failed(chance()));
    }

    pub(super) fn connected(&mut self) {
        self.connected_at = Some(Instant::now());
        self.try_again_at = None;
        self.announced = Announced::default();
    }

    /// Tries the servers of the last view in turn, once the pause is over.
    pub(super) async fn fail_over(&mut self) {
        let Connection::Lost(lost) = &self.connection else {
            return;
        };
        let is_time = self.try_again_at.is_some_and(|at| at <= Instant::now());
        if !self.looks_for_servers() || !is_time {
            return;
        }
        let lost = lost.clone();
        for address in self.state.servers_after(&lost) {
            match self.use_server(&address, false).await {
                Ok(()) => return self.refresh_prompt(),
                Err(error) if self.announced.no_server || error.is_lost() => {}
                Err(error) => self.note(&format!("{}: {error}", short(&address))),
            }
        }
        self.try_again_later();
        if !std::mem::replace(&mut self.announced.no_server, true) {
            self.note(
                "no server answers; trying again until one does. c connects elsewhere, q leaves",
            );
            self.refresh_prompt();
        }
    }
}
