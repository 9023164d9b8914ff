//! Calls that are repeated until a server answers: at this server, at the next, after a pause,
//! after a new login; within a time limit.

use std::io::IsTerminal as _;
use std::time::Duration;

use causeway_client::{CallError, Client, Http, Session, View};
use tokio::time::{Instant, sleep, timeout};

use super::Failure;
use crate::address::{DEFAULT_SERVER, Target, short};
use crate::arguments::Options;
use crate::backoff::{Backoff, chance};
use crate::logins::{Login, Logins};
use crate::names;

/// Said of an attempt that this program ended, because its time limit was reached.
const OUT_OF_TIME: &str = "no answer in time";

/// A user who calls the servers of one cluster.
#[derive(Debug)]
pub struct Caller {
    client: Client,
    /// The user's name.
    pub user: String,
    /// The cluster, once a server has reported it.
    cluster: Option<String>,
    /// All known servers, including the current one.
    servers: Vec<String>,
    /// How many servers in a row gave no answer.
    silent: usize,
    backoff: Backoff,
    failover: bool,
    time_limit: Option<Duration>,
    /// When the current call began to wait. `None` between calls: a script may take its time over
    /// what it sends or prints.
    waiting_since: Option<Instant>,
    /// The newest answer or failure of this call that says more than that time was up.
    reason: Option<String>,
    renewed: Option<Instant>,
    has_warned: bool,
}

impl Caller {
    /// Chooses user and server: from the options, or else from the stored login.
    pub(super) async fn open(options: &Options) -> Result<Self, Failure> {
        let server = options.server.as_ref().map(Target::address);
        let kept = match Logins::own() {
            Ok(logins) => logins.find(server.as_deref(), options.user.as_deref())?,
            Err(_) => None,
        };
        let Some(user) = kept
            .as_ref()
            .map(|login| login.user.clone())
            .or_else(|| options.user.clone())
        else {
            return Err(Failure::Error(
                "not logged in; log in with causeway login --user NAME, or add --user NAME".into(),
            ));
        };
        let base = server
            .or_else(|| kept.as_ref().map(|login| login.server.clone()))
            .unwrap_or_else(|| DEFAULT_SERVER.to_owned());
        let mut caller = Self::new(options, &base, user)?;
        match kept {
            Some(login) => {
                caller.client = caller.client.with_token(login.token);
                caller.cluster = Some(login.cluster);
                caller.servers.extend(login.servers);
                caller.servers.dedup();
            }
            None => {
                caller.log_in().await?;
            }
        }
        Ok(caller)
    }

    fn new(options: &Options, base: &str, user: String) -> Result<Self, Failure> {
        let http = Http::trusting(options.ca.as_deref())?;
        Ok(Self {
            client: Client::new(&http, base),
            user,
            cluster: None,
            servers: vec![base.to_owned()],
            silent: 0,
            backoff: Backoff::default(),
            failover: !options.no_failover,
            time_limit: Some(Duration::from_secs(options.timeout)).filter(|time| !time.is_zero()),
            waiting_since: None,
            reason: None,
            renewed: None,
            has_warned: false,
        })
    }

    /// Logs in by name, without the stored login.
    pub(super) async fn logged_in_by_name(
        options: &Options,
    ) -> Result<(Self, Login, String), Failure> {
        let Some(user) = options.user.clone() else {
            crate::settings::misuse(
                "login needs a name: add --user NAME, as in: causeway login --user ann",
            )
            .exit()
        };
        let base = options
            .server
            .as_ref()
            .map_or_else(|| DEFAULT_SERVER.to_owned(), Target::address);
        let mut caller = Self::new(options, &base, user)?;
        let (login, session) = caller.log_in().await?;
        Ok((caller, login, session))
    }

    /// Logs in by name; returns the login, and the session as the server wrote it.
    async fn log_in(&mut self) -> Result<(Login, String), Failure> {
        let user = self.user.clone();
        let cluster =
            self.ask_once_logged_out(async |client: &Client| Ok(client.server().await?.cluster));
        let cluster = cluster.await?;
        let raw = self
            .ask_once_logged_out(async |client: &Client| {
                client
                    .log_in::<Box<serde_json::value::RawValue>>(&user)
                    .await
            })
            .await?;
        let session: Session = serde_json::from_str(raw.get())
            .map_err(|error| Failure::Error(format!("the login cannot be read: {error}")))?;
        self.client = self.client.with_token(session.token.clone());
        self.user.clone_from(&session.user.name);
        self.cluster = Some(cluster.clone());
        // Without a view, there is no other server to try.
        if let Ok(view) = self.client.view().await {
            self.learn(&view);
        }
        let login = Login {
            server: self.client.base().to_owned(),
            servers: self.servers.clone(),
            cluster,
            user: session.user.name,
            token: session.token,
        };
        Ok((login, raw.get().to_owned()))
    }

    fn learn(&mut self, view: &View) {
        let peers = view.peers.iter().map(|peer| &peer.public_url);
        for address in std::iter::once(&view.own.public_url).chain(peers) {
            let address = address.trim_end_matches('/').to_owned();
            if !self.servers.contains(&address) {
                self.servers.push(address);
            }
        }
    }

    /// The current server.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The cluster of the servers; asks if it is unknown.
    pub(super) async fn cluster(&mut self) -> Result<String, Failure> {
        if let Some(cluster) = &self.cluster {
            return Ok(cluster.clone());
        }
        let server = self
            .ask(async |client: &Client| client.server().await)
            .await?;
        self.cluster = Some(server.cluster.clone());
        Ok(server.cluster)
    }

    /// Calls until there is a valid answer.
    pub(super) async fn ask<T>(
        &mut self,
        call: impl AsyncFn(&Client) -> Result<T, CallError>,
    ) -> Result<T, Failure> {
        loop {
            match self.once(&call).await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is("unauthenticated") => self.renew().await?,
                Err(error) => self.recover(&error).await?,
            }
        }
    }

    async fn ask_once_logged_out<T>(
        &mut self,
        call: impl AsyncFn(&Client) -> Result<T, CallError>,
    ) -> Result<T, Failure> {
        loop {
            match self.once(&call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.recover(&error).await?,
            }
        }
    }

    /// Calls once, within the time that is left.
    pub(super) async fn once<T>(
        &mut self,
        call: &impl AsyncFn(&Client) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        self.start_waiting();
        let answer = match self.time_left() {
            None => call(&self.client).await,
            Some(left) => timeout(left, call(&self.client))
                .await
                .unwrap_or_else(|_| Err(CallError::Unreachable(OUT_OF_TIME.into()))),
        };
        if let Err(error) = &answer
            && !matches!(error, CallError::Unreachable(why) if why == OUT_OF_TIME)
        {
            let server = short(self.client.base());
            self.reason = Some(format!("{server}: {error}"));
        }
        if answer.is_ok() {
            self.answered();
        }
        answer
    }

    /// A call was answered: the next one has the full time again.
    pub(super) fn answered(&mut self) {
        self.waiting_since = None;
        self.reason = None;
        self.silent = 0;
        self.backoff.worked();
    }

    fn start_waiting(&mut self) {
        self.waiting_since.get_or_insert_with(Instant::now);
    }

    fn time_left(&self) -> Option<Duration> {
        let waited = self.waiting_since.map_or(Duration::ZERO, |at| at.elapsed());
        Some(self.time_limit?.saturating_sub(waited))
    }

    /// How long a server may be asked to hold a call, so that its silence is told apart from a lost
    /// server.
    pub(super) fn at_most(&self, wait: Duration) -> Duration {
        self.time_limit
            .map_or(wait, |time_limit| wait.min(time_limit / 2))
    }

    /// Prepares the next attempt: waits, or switches to the next server.
    ///
    /// # Errors
    /// The answer is final, or no time is left.
    pub(super) async fn recover(&mut self, error: &CallError) -> Result<(), Failure> {
        self.start_waiting();
        let pause = if error.is_lost() {
            self.warn_once(error);
            self.silent += 1;
            let all = if self.failover { self.servers.len() } else { 1 };
            if self.silent < all {
                Duration::ZERO
            } else {
                self.silent = 0;
                self.backoff.failed(chance())
            }
        } else if error.passes() {
            error.wait()
        } else {
            return Err(Failure::Error(error.to_string()));
        };
        if self.time_left().is_some_and(|left| left <= pause) {
            return Err(self.timed_out(error));
        }
        sleep(pause).await;
        if error.is_lost() && self.failover {
            self.next_server().await;
        }
        Ok(())
    }

    /// A person who waits is told why; a script only learns it at the end.
    fn warn_once(&mut self, error: &CallError) {
        if !std::mem::replace(&mut self.has_warned, true) && std::io::stderr().is_terminal() {
            eprintln!(
                "causeway: {}: {error}; trying again",
                short(self.client.base())
            );
        }
    }

    fn timed_out(&self, error: &CallError) -> Failure {
        let seconds = self.time_limit.unwrap_or_default().as_secs();
        let server = short(self.client.base());
        // The last attempt may have had no time left to find out what is wrong.
        let reason = self.reason.clone();
        let reason = reason.unwrap_or_else(|| format!("{server}: {error}"));
        Failure::Error(format!(
            "no server has answered for {seconds} s; the last, {reason}. Check --server, or wait \
             longer with --timeout"
        ))
    }

    /// Switches to the next server that is not known to be of another cluster.
    async fn next_server(&mut self) {
        for _ in 0..self.servers.len() {
            let present = self
                .servers
                .iter()
                .position(|known| known == self.client.base());
            let next = present.map_or(0, |place| (place + 1) % self.servers.len());
            let base = self.servers[next].clone();
            self.client = self.client.at(&base);
            match (&self.cluster, self.client.server().await) {
                (Some(cluster), Ok(server)) if server.cluster != *cluster => {}
                _ => return,
            }
        }
    }

    /// Logs in again after the login has expired.
    async fn renew(&mut self) -> Result<(), Failure> {
        let just_now = self
            .renewed
            .is_some_and(|at| at.elapsed() < Duration::from_secs(10));
        if just_now {
            return Err(Failure::Error(format!(
                "{} rejects the login that it has just issued; log in with causeway login",
                short(self.client.base())
            )));
        }
        self.renewed = Some(Instant::now());
        let former = self.cluster.clone();
        let (login, _) = self.log_in().await?;
        if former.is_some_and(|former| former != login.cluster) {
            return Err(Failure::Error(format!(
                "{} is of another cluster now, {}; log in there with causeway login",
                short(self.client.base()),
                login.cluster
            )));
        }
        if let Ok(logins) = Logins::own()
            && let Ok(Some(kept)) = logins.find(Some(&login.server), Some(&login.user))
            && names::are_same(&kept.user, &login.user)
        {
            logins.keep(&login)?;
        }
        Ok(())
    }

    /// Logs in again after a call was refused as unauthenticated.
    pub(super) async fn login_ended(&mut self) -> Result<(), Failure> {
        self.renew().await
    }
}
