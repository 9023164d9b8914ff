//! One user's calls to all replicas, and the outcome that each answer proves.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use causeway_client::{CallError, Client, Http, Limits, Session, Stream};

use crate::cluster::Cluster;

/// A pool of connections that trusts this authority, where TLS is spoken. After five seconds, the outcome of a call is unknown.
pub fn http(ca: Option<&Path>) -> Http {
    let limits = Limits {
        call: Duration::from_secs(5),
        silence: Duration::from_secs(20),
        ..Limits::default()
    };
    Http::new(ca, limits).expect("the certificate of the authority was just made")
}

/// The outcome of a call.
#[derive(Debug)]
pub enum Answer<T> {
    /// It was carried out.
    Done(T),
    /// It was certainly not carried out; with the error code.
    Refused(String),
    /// It may or may not have been carried out.
    Unknown,
}

impl<T> Answer<T> {
    /// The value of a call that was carried out.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(body) => Some(body),
            Self::Refused(_) | Self::Unknown => None,
        }
    }
}

/// A user who calls replicas, and logs in if necessary.
#[derive(Clone, Debug)]
pub struct User {
    http: Http,
    cluster: Arc<Cluster>,
    name: String,
    tokens: BTreeMap<u16, String>,
    /// The number and address of the only server to call; `None` for all replicas.
    only: Option<(u16, SocketAddr)>,
}

impl User {
    /// A user without a session.
    pub fn new(http: Http, cluster: Arc<Cluster>, name: &str) -> Self {
        Self {
            http,
            cluster,
            name: name.to_owned(),
            tokens: BTreeMap::new(),
            only: None,
        }
    }

    /// Restricts the user to one server that no link leads to, under this number.
    pub fn at(self, number: u16, address: SocketAddr) -> Self {
        Self {
            only: Some((number, address)),
            ..self
        }
    }

    /// The numbers of the replicas this user can call.
    pub fn replicas(&self) -> Vec<u16> {
        match self.only {
            Some((number, _)) => vec![number],
            None => self.cluster.numbers(),
        }
    }

    /// The user's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Calls a replica, after a login if the token is missing or has expired.
    pub async fn ask<T, F>(&mut self, replica: u16, call: impl Fn(Client) -> F) -> Answer<T>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        for _ in 0..2 {
            let Some(client) = self.client(replica).await else {
                return Answer::Refused("no login".into());
            };
            match self.judge(replica, call(client).await) {
                Answer::Refused(code) if code == "unauthenticated" => {}
                answer => return answer,
            }
        }
        Answer::Refused("unauthenticated".into())
    }

    /// Opens a group's stream after a cursor.
    pub async fn stream(&mut self, replica: u16, group: &str, cursor: &str) -> Option<Stream> {
        let client = self.client(replica).await?;
        let opened = client.events(group, Some(cursor)).await;
        self.judge(replica, opened).done()
    }

    async fn client(&mut self, replica: u16) -> Option<Client> {
        let address = match self.only {
            Some((_, address)) => address,
            None => self.cluster.network.public_address(replica),
        };
        let client = Client::new(&self.http, &self.cluster.url(address));
        if let Some(token) = self.tokens.get(&replica) {
            return Some(client.with_token(token.clone()));
        }
        let session: Session = client.log_in(&self.name).await.ok()?;
        self.tokens.insert(replica, session.token.clone());
        Some(client.with_token(session.token))
    }

    /// Classifies an answer, and drops an expired token. `unavailable` and 500 leave the outcome of
    /// a write unknown.
    fn judge<T>(&mut self, replica: u16, answer: Result<T, CallError>) -> Answer<T> {
        match answer {
            Ok(body) => Answer::Done(body),
            Err(CallError::NotConnected(_)) => Answer::Refused("no connection".into()),
            Err(CallError::Refused { status, code, .. }) => {
                if code == "unauthenticated" {
                    self.tokens.remove(&replica);
                }
                let is_certain = (400..500).contains(&status)
                    || ["busy", "behind", "disk_full"].contains(&code.as_str());
                if is_certain {
                    Answer::Refused(code)
                } else {
                    Answer::Unknown
                }
            }
            Err(CallError::Unreachable(_) | CallError::Foreign(_)) => Answer::Unknown,
        }
    }
}
