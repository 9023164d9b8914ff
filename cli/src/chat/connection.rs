//! Which server is used: connecting, logging in, losing it and finding the next.

use tokio::time::{Duration, Instant, sleep};

use super::{Chat, Link};
use crate::address::{Place, short};
use crate::client::{CallError, Client, Written};
use crate::feed;
use crate::wire::Snapshot;

/// How long a server may lack what was seen elsewhere before one goes on without.
const BEHIND: Duration = Duration::from_secs(10);
/// How long a stream may take to show what was missed before one writes without.
const CATCH_UP: Duration = Duration::from_secs(2);

impl Chat {
    /// `c`: another server; name, group and place stay.
    pub(super) async fn connect(&mut self, place: Place) {
        let address = match place {
            Place::Address(address) => address,
            Place::Replica(number) => match self.state.address_of(number) {
                Some(address) => address,
                None => {
                    return self
                        .complain(&format!("There is no replica {number}; v shows them all"));
                }
            },
        };
        if let Link::Connected(client) | Link::LoggedIn(client) = &self.link
            && client.base() == address
        {
            return self.note(&format!("You are already connected to {}", short(&address)));
        }
        if let Err(error) = self.use_server(&address).await {
            let stays = if matches!(self.link, Link::None | Link::Lost(_)) {
                ""
            } else {
                "; you stay where you were"
            };
            self.complain(&format!(
                "No connection to {}: {error}{stays}",
                short(&address)
            ));
        }
    }

    /// Goes over to a server that answers: with the name and group there are, from the place where
    /// the former was left.
    async fn use_server(&mut self, address: &str) -> Result<(), CallError> {
        let client = Client::new(address);
        let server = client.server().await?;
        let mut link = Link::Connected(client.clone());
        let mut view = None;
        if let Some(user) = self.state.user.clone() {
            let session = client.log_in(&user).await?;
            let client = client.with_token(session.token);
            view = Some(client.view().await?);
            link = Link::LoggedIn(client);
        }
        self.new_connection();
        self.link = link;
        self.state.view = view.or(self.state.view.take());
        self.state.servers = Some(server.replicas.len()).filter(|count| *count > 0);
        let cluster = if server.cluster.is_empty() {
            String::new()
        } else {
            format!(" of cluster {}", server.cluster)
        };
        let who = self
            .state
            .user
            .as_ref()
            .map_or(String::new(), |user| format!(" as {user}"));
        self.note(&format!(
            "connected to replica {}{cluster} at {}{who}",
            server.replica,
            short(address)
        ));
        self.tasks
            .push(feed::watch(client, self.connection, self.news.clone()));
        self.told_of_waiting = false;
        self.take_up_group().await;
        Ok(())
    }

    pub(super) fn new_connection(&mut self) {
        self.connection += 1;
        self.tasks.clear();
        self.catching_up = None;
    }

    /// Goes on in the group there is, after what was seen of it.
    async fn take_up_group(&mut self) {
        let (Link::LoggedIn(client), Some(group)) = (&self.link, self.state.group.clone()) else {
            return;
        };
        let client = client.clone();
        match self
            .join_with_all_seen(&client, &group, self.state.seen.cursor.clone())
            .await
        {
            Ok(joined) => {
                self.state.seen.mark = joined.mark.or(self.state.seen.mark.take());
                let cursor = self.state.seen.cursor.clone().unwrap_or(joined.body.cursor);
                self.follow(client, group, cursor);
            }
            Err(error) => self.refuse_group(&error),
        }
    }

    pub(super) fn follow(&mut self, client: Client, group: String, cursor: String) {
        self.state.seen.cursor = Some(cursor.clone());
        self.catching_up = Some(Instant::now() + CATCH_UP);
        self.tasks.push(feed::follow(
            client,
            group,
            Some(cursor),
            self.connection,
            self.news.clone(),
        ));
    }

    /// Joins at a server that may not yet hold what was seen or written elsewhere.
    pub(super) async fn join_with_all_seen(
        &mut self,
        client: &Client,
        group: &str,
        seen: Option<String>,
    ) -> Result<Written<Snapshot>, CallError> {
        let give_up = Instant::now() + BEHIND;
        while Instant::now() < give_up {
            match client.join(group, seen.as_deref()).await {
                Err(error) if error.is("behind") => sleep(Duration::from_millis(200)).await,
                answer => return answer,
            }
        }
        self.note(
            "this server has not yet all that you have seen: messages may be missing until it has",
        );
        client.join(group, None).await
    }

    /// `u`: logs in under this name.
    pub(super) async fn log_in(&mut self, name: &str) {
        if self
            .state
            .user
            .as_ref()
            .is_some_and(|user| user.eq_ignore_ascii_case(name))
        {
            return self.note(&format!("You are already {name}"));
        }
        if !self.outbox.is_empty() {
            let waiting = self.outbox.len();
            return self.complain(&format!(
                "{waiting} not sent yet under the present name; log in again when they are"
            ));
        }
        let (Link::Connected(client) | Link::LoggedIn(client)) = &self.link else {
            return self.complain(self.needs_login());
        };
        let client = client.clone();
        match client.log_in(name).await {
            Ok(session) => {
                self.log_out_former().await;
                self.new_connection();
                self.state.enter(None);
                let client = client.with_token(session.token);
                self.tasks.push(feed::watch(
                    client.clone(),
                    self.connection,
                    self.news.clone(),
                ));
                self.note(&format!(
                    "logged in as {}; j goes to a group, as in: j lobby",
                    session.user.name
                ));
                self.state.user = Some(session.user.name);
                self.state.view = client.view().await.ok().or(self.state.view.take());
                self.link = Link::LoggedIn(client);
            }
            Err(error) => self.failed(&error),
        }
    }

    async fn log_out_former(&self) {
        if let Link::LoggedIn(former) = &self.link {
            // The session ends by itself in time where the server does not hear of it.
            let _ = former.log_out().await;
        }
    }

    /// The server gives no answer any more.
    pub(super) fn lose(&mut self, reason: &str) {
        if let Link::None | Link::Lost(_) = self.link {
            return;
        }
        let (Link::Connected(client) | Link::LoggedIn(client)) =
            std::mem::replace(&mut self.link, Link::None)
        else {
            return;
        };
        self.new_connection();
        self.link = Link::Lost(client.base().to_owned());
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
        self.show(self.look.warning(&warning));
        if !self.looks_for_servers() {
            self.ask_again();
        }
    }

    fn looks_for_servers(&self) -> bool {
        self.failover && self.state.user.is_some()
    }

    /// The login is no longer valid: it is made anew, as after a loss.
    pub(super) fn log_in_anew(&mut self) {
        if let Link::LoggedIn(client) = &self.link {
            self.link = Link::Lost(client.base().to_owned());
            self.new_connection();
            self.note("the login had ended and is made anew; if something was not done, ask again");
        }
    }

    /// Tries the servers of the last view, one after the other.
    pub(super) async fn fail_over(&mut self) {
        let Link::Lost(lost) = &self.link else { return };
        let lost = lost.clone();
        for address in self.state.servers_after(&lost) {
            match self.use_server(&address).await {
                Ok(()) => return self.ask_again(),
                Err(error)
                    if self.told_of_waiting || matches!(error, CallError::Unreachable(_)) => {}
                Err(error) => self.note(&format!("{}: {error}", short(&address))),
            }
        }
        if !std::mem::replace(&mut self.told_of_waiting, true) {
            self.note(
                "no server answers; trying again until one does. c connects elsewhere, q leaves",
            );
            self.ask_again();
        }
    }

    /// `v`: the servers.
    pub(super) async fn show_view(&mut self) {
        let Some(client) = self.logged_in() else {
            return;
        };
        match client.view().await {
            Ok(view) => {
                self.show_all(&self.look.view(&view, client.base(), jiff::Timestamp::now()));
                self.state.view = Some(view);
            }
            Err(error) => self.failed(&error),
        }
    }
}
