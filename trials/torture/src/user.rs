//! One user's calls to all replicas, and what their answers say about what was done.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use causeway_client::{CallError, Client, Http, Limits, Session, Stream};

use crate::cluster::Cluster;

/// A pool of connections. After five seconds nobody knows how a call went.
pub fn http() -> Http {
    Http::with_limits(Limits {
        call: Duration::from_secs(5),
        silence: Duration::from_secs(20),
        ..Limits::default()
    })
}

/// What came of a call.
#[derive(Debug)]
pub enum Answer<T> {
    /// It was done.
    Done(T),
    /// It was certainly not done; with the reason's code.
    Refused(String),
    /// Nobody knows.
    Unknown,
}

impl<T> Answer<T> {
    /// What a call that was done returned.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(body) => Some(body),
            Self::Refused(_) | Self::Unknown => None,
        }
    }
}

/// A user who can call all replicas, and logs in where needed.
#[derive(Clone, Debug)]
pub struct User {
    http: Http,
    cluster: Arc<Cluster>,
    name: String,
    tokens: BTreeMap<u16, String>,
    /// The only server that is called, and the number it goes by; none: all replicas.
    only: Option<(u16, SocketAddr)>,
}

impl User {
    /// A user who is logged in nowhere yet.
    pub fn new(http: Http, cluster: Arc<Cluster>, name: &str) -> Self {
        Self {
            http,
            cluster,
            name: name.to_owned(),
            tokens: BTreeMap::new(),
            only: None,
        }
    }

    /// The same user at one server alone, which no link leads to; it goes by this number.
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

    /// Calls a replica, logging in first where needed, also when its clock has run past the token.
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
        let client = Client::new(&self.http, &format!("http://{address}"));
        if let Some(token) = self.tokens.get(&replica) {
            return Some(client.with_token(token.clone()));
        }
        let session: Session = client.log_in(&self.name).await.ok()?;
        self.tokens.insert(replica, session.token.clone());
        Some(client.with_token(session.token))
    }

    /// Says what an answer means, and forgets a token that has ended. `unavailable` and 500 say
    /// nothing about what was written.
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
