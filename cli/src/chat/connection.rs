//! Connecting to a server, and continuing there in the current group.

use causeway_client::{CallError, Client, Server, Session, Snapshot, Written};
use tokio::time::{Duration, Instant, sleep};

use super::{Chat, Connection, Start};
use crate::address::{Target, short};
use crate::background;
use crate::clock;

/// How long to wait for a server to receive what was seen elsewhere.
const BEHIND: Duration = Duration::from_secs(10);
/// How long writing waits for the stream to show what was missed.
const CATCH_UP: Duration = Duration::from_secs(2);

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The server does not answer, or refuses.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It has a different history.
    #[error("it is of another cluster, {0}")]
    OtherCluster(String),
}

impl ConnectError {
    /// Whether no server of Causeway answers.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self, Self::Call(error) if error.is_lost())
    }
}

impl Chat {
    /// Connects as the command line asks. With a user, a server that does not answer yet is
    /// awaited.
    pub(super) async fn start(&mut self, start: Start) {
        let Some(address) = self.address_of(&start.server) else {
            return;
        };
        self.state.user = start.user;
        self.state.group = start.group;
        self.open_outbox();
        self.update_terminal();
        match self.use_server(&address, false).await {
            Ok(()) => {}
            Err(ConnectError::Call(error))
                if (error.is_lost() || error.passes()) && self.state.user.is_some() =>
            {
                self.connection = Connection::Lost(address.clone());
                let waits = format!(
                    "No connection to {}: {error}. Trying again until it answers; c connects \
                     elsewhere, q leaves",
                    short(&address)
                );
                self.announced.no_server = true;
                self.try_again_later();
                self.report_failure(&waits);
            }
            Err(error) => {
                self.state.user = None;
                self.state.group = None;
                self.report_failure(&format!("No connection to {}: {error}", short(&address)));
            }
        }
        self.maintain_connection().await;
    }

    /// `c`: connects to another server; user, group and cursor stay.
    pub(super) async fn connect(&mut self, place: Target) {
        let Some(address) = self.address_of(&place) else {
            return;
        };
        if let Connection::Connected(client) | Connection::LoggedIn(client) = &self.connection
            && client.base() == address
        {
            return self.note(&format!("You are already connected to {}", short(&address)));
        }
        if let Err(error) = self.use_server(&address, true).await {
            let stays = if matches!(self.connection, Connection::None | Connection::Lost(_)) {
                ""
            } else {
                "; you stay where you were"
            };
            self.report_failure(&format!(
                "No connection to {}: {error}{stays}",
                short(&address)
            ));
        }
    }

    fn address_of(&mut self, place: &Target) -> Option<String> {
        match place {
            Target::Address(address) => Some(address.clone()),
            Target::Replica(number) => {
                let address = self.state.address_of(*number);
                if address.is_none() {
                    self.report_failure(&format!("There is no replica {number}; v shows them all"));
                }
                address
            }
        }
    }

    /// Switches to a server, with the same user, group and cursor. Switches to another cluster,
    /// where none of these are known, only if the user asked for this server.
    pub(super) async fn use_server(
        &mut self,
        address: &str,
        may_change_cluster: bool,
    ) -> Result<(), ConnectError> {
        let client = Client::new(&self.http, address);
        let server = client.server().await?;
        let changes_cluster = self
            .state
            .cluster
            .as_ref()
            .is_some_and(|cluster| *cluster != server.cluster);
        if changes_cluster && !may_change_cluster {
            return Err(ConnectError::OtherCluster(server.cluster));
        }
        let mut connection = Connection::Connected(client.clone());
        let mut view = None;
        if let Some(user) = self.state.user.clone() {
            let session: Session = client.log_in(&user).await?;
            self.state.user = Some(session.user.name);
            let client = client.with_token(session.token);
            view = Some(client.view().await?);
            connection = Connection::LoggedIn(client);
        }
        self.new_connection();
        let former = std::mem::replace(&mut self.connection, connection);
        if changes_cluster {
            self.state.leave_cluster();
            self.note(
                "this is another cluster: you are in no group here; unsent messages for \
                the former one are kept",
            );
        }
        self.state.view = view.or(self.state.view.take());
        self.greet_server(&server, address);
        let lost = match &former {
            Connection::Lost(lost) if self.state.cluster.is_none() => lost,
            _ => address,
        };
        self.outbox
            .borrow_mut()
            .bind(&[address, lost], &server.cluster);
        self.state.cluster = Some(server.cluster);
        self.watch();
        self.connected();
        self.take_up_group().await;
        Ok(())
    }

    fn greet_server(&mut self, server: &Server, address: &str) {
        self.state.replica = Some(server.replica);
        self.state.servers = Some(server.replicas.len()).filter(|count| *count > 0);
        let cluster = match server.cluster.as_str() {
            "" => String::new(),
            cluster => format!(" of cluster {cluster}"),
        };
        let user = self.state.user.as_ref();
        let who = user.map_or(String::new(), |user| format!(" as {user}"));
        let replica = server.replica;
        self.note(&format!(
            "connected to replica {replica}{cluster} at {}{who}",
            short(address)
        ));
    }

    pub(super) fn new_connection(&mut self) {
        self.generation += 1;
        self.tasks.clear();
        self.catching_up = None;
    }

    /// Starts the task that watches the server.
    pub(super) fn watch(&mut self) {
        self.load_groups();
        if let Connection::Connected(client) | Connection::LoggedIn(client) = &self.connection {
            let cluster = self.state.cluster.clone().unwrap_or_default();
            let (client, news) = (client.clone(), self.reports.clone());
            self.tasks
                .push(background::watch(client, cluster, self.generation, news));
        }
    }

    /// Joins the current group and follows it from the cursor; without a cursor, shows a snapshot.
    pub(super) async fn take_up_group(&mut self) {
        let (Connection::LoggedIn(client), Some(group)) =
            (&self.connection, self.state.group.clone())
        else {
            return;
        };
        let client = client.clone();
        let seen = self.state.context.clone();
        let at_least = seen.cursor.clone().or(seen.mark);
        match self.join_with_all_seen(&client, &group, at_least).await {
            Ok(joined) => {
                self.state.joined(&joined.body.group, joined.mark);
                let cursor = match seen.cursor {
                    Some(cursor) => cursor,
                    None => self.show_new_group(&joined.body),
                };
                self.follow(client, joined.body.group, cursor);
            }
            // Worth a retry, here or elsewhere; the group stays current.
            Err(error) if error.passes() => self.lose_server(&error.to_string()),
            Err(error) => self.refuse_group(&error),
        }
    }

    /// Shows a group that is entered; returns the cursor at which its stream begins.
    pub(super) fn show_new_group(&mut self, snapshot: &Snapshot) -> String {
        self.state.enter(Some(snapshot.group.clone()));
        self.show_group(snapshot);
        snapshot.cursor.clone()
    }

    pub(super) fn follow(&mut self, client: Client, group: String, cursor: String) {
        self.state.context.cursor = Some(cursor.clone());
        self.catching_up = Some(Instant::now() + CATCH_UP);
        self.state.online.begin_stream();
        self.tasks.push(background::follow(
            client,
            group,
            Some(cursor),
            self.generation,
            self.reports.clone(),
        ));
    }

    /// Joins at a server that may still lack what was seen or written elsewhere.
    pub(super) async fn join_with_all_seen(
        &mut self,
        client: &Client,
        group: &str,
        seen: Option<String>,
    ) -> Result<Written<Snapshot>, CallError> {
        let give_up = Instant::now() + BEHIND;
        let with_all_seen = client.at_least(seen.as_deref());
        while Instant::now() < give_up {
            match with_all_seen.join(group).await {
                Err(error) if error.is("behind") => sleep(Duration::from_millis(200)).await,
                answer => return answer,
            }
        }
        self.note(
            "this server does not have everything you have seen yet; messages may be missing \
             until it does",
        );
        client.join(group).await
    }

    /// `v`: the servers.
    pub(super) async fn show_view(&mut self) {
        let Some(client) = self.logged_in() else {
            return;
        };
        match client.view().await {
            Ok(view) => {
                self.show_all(&self.style.view(&view, client.base(), clock::now()));
                self.state.view = Some(view);
            }
            Err(error) => self.call_failed(&error),
        }
    }
}
