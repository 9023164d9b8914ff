//! Logging in, and renewing a login that has expired.

use causeway_client::Session;
use tokio::time::{Duration, Instant};

use super::{Chat, Connection};
use crate::names;

/// A login that expires sooner than this counts as a fault of the server.
const SHORTEST_LOGIN: Duration = Duration::from_secs(10);

impl Chat {
    /// `u`: logs in under this name.
    pub(super) async fn log_in(&mut self, name: &str) {
        if let (Connection::LoggedIn(_), Some(user)) = (&self.connection, &self.state.user)
            && names::are_same(user, name)
        {
            return self.note(&format!("You are already {name}"));
        }
        let waiting = self.outbox.borrow().len();
        if waiting > 0 && !self.is_durable() {
            return self.report_failure(&format!(
                "{waiting} not sent yet under the current name; log in again once they are sent"
            ));
        }
        let (Connection::Connected(client) | Connection::LoggedIn(client)) = &self.connection
        else {
            return self.report_failure(self.needs_login());
        };
        let client = client.clone();
        match client.log_in::<Session>(name).await {
            Ok(session) => {
                self.log_out_former().await;
                if waiting > 0 {
                    self.note(&format!(
                        "{waiting} not sent under the former name; they are kept for it"
                    ));
                }
                self.new_connection();
                self.state.enter(None);
                let client = client.with_token(session.token);
                self.note(&format!(
                    "logged in as {}; j goes to a group, as in: j lobby",
                    session.user.name
                ));
                self.state.user = Some(session.user.name);
                self.open_outbox();
                self.state.view = client.view().await.ok().or(self.state.view.take());
                self.connection = Connection::LoggedIn(client);
                self.watch();
            }
            Err(error) => self.call_failed(&error),
        }
    }

    async fn log_out_former(&self) {
        if let Connection::LoggedIn(former) = &self.connection {
            // If the server does not receive this, the session expires on its own.
            let _ = former.log_out().await;
        }
    }

    /// The server no longer accepts the token.
    pub(super) fn login_ended(&mut self) {
        if let Connection::LoggedIn(client) = &self.connection {
            self.connection = Connection::Expired(client.clone());
            self.new_connection();
        }
    }

    /// Logs in again after the login has expired, at the same server, which is healthy.
    pub(super) async fn renew_login(&mut self) {
        let (Connection::Expired(client), Some(user)) = (&self.connection, self.state.user.clone())
        else {
            return;
        };
        let client = client.clone();
        self.connection = Connection::Connected(client.clone());
        if self.renewed.is_some_and(|at| at.elapsed() < SHORTEST_LOGIN) {
            return self.lose_server("it rejects the login that it has just issued");
        }
        match client.log_in::<Session>(&user).await {
            Ok(session) => {
                self.renewed = Some(Instant::now());
                self.connection = Connection::LoggedIn(client.with_token(session.token));
                self.note(
                    "the login had expired and was renewed; repeat the last command if it had no \
                     effect",
                );
                self.watch();
                self.take_up_group().await;
            }
            Err(error) if error.is_lost() || error.passes() => self.lose_server(&error.to_string()),
            Err(error) => {
                self.watch();
                self.report_failure(&format!(
                    "the login has expired and cannot be renewed: {error}"
                ));
                self.refresh_prompt();
            }
        }
    }
}
