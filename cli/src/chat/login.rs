//! Logging in, and renewing a login that has expired.

use causeway_client::Session;
use tokio::time::{Duration, Instant};

use super::{Chat, Link};
use crate::names;

/// A login that expires sooner than this counts as a fault of the server.
const SHORTEST_LOGIN: Duration = Duration::from_secs(10);

impl Chat {
    /// `u`: logs in under this name.
    pub(super) async fn log_in(&mut self, name: &str) {
        if let (Link::LoggedIn(_), Some(user)) = (&self.link, &self.state.user)
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
        let (Link::Connected(client) | Link::LoggedIn(client)) = &self.link else {
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
                self.link = Link::LoggedIn(client);
                self.watch();
            }
            Err(error) => self.call_failed(&error),
        }
    }

    async fn log_out_former(&self) {
        if let Link::LoggedIn(former) = &self.link {
            // If the server does not receive this, the session expires on its own.
            let _ = former.log_out().await;
        }
    }

    /// The server no longer accepts the token.
    pub(super) fn login_ended(&mut self) {
        if let Link::LoggedIn(client) = &self.link {
            self.link = Link::Expired(client.clone());
            self.new_connection();
        }
    }

    /// Logs in again after the login has expired, at the same server, which is healthy.
    pub(super) async fn renew_login(&mut self) {
        let (Link::Expired(client), Some(user)) = (&self.link, self.state.user.clone()) else {
            return;
        };
        let client = client.clone();
        self.link = Link::Connected(client.clone());
        if self.renewed.is_some_and(|at| at.elapsed() < SHORTEST_LOGIN) {
            return self.lose_server("it rejects the login that it has just issued");
        }
        match client.log_in::<Session>(&user).await {
            Ok(session) => {
                self.renewed = Some(Instant::now());
                self.link = Link::LoggedIn(client.with_token(session.token));
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
