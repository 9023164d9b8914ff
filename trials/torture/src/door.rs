//! One user's way to all replicas: calls over HTTP, and what their answers mean.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// How long a call may take before nobody knows how it went.
const CALL: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(1);

/// A client's connections; cheap to clone.
pub fn http() -> anyhow::Result<reqwest::Client> {
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(Duration::from_secs(10))
        .no_proxy();
    Ok(client.build()?)
}

/// What came of a call.
#[derive(Debug)]
pub enum Answer {
    /// Done, with a body (or null) and perhaps a mark.
    Done {
        /// The body.
        body: Value,
        /// The mark of a write.
        mark: Option<String>,
    },
    /// Certainly not done, and why.
    Refused(String),
    /// Nobody knows.
    Silent,
}

impl Answer {
    /// The body of a call that was done.
    pub fn body(self) -> Option<Value> {
        match self {
            Self::Done { body, .. } => Some(body),
            Self::Refused(_) | Self::Silent => None,
        }
    }
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    key: Option<String>,
    body: Option<Value>,
}

impl Call {
    /// A call without anything.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            key: None,
            body: None,
        }
    }

    /// With a parameter, where there is one.
    pub fn with(mut self, name: &'static str, value: Option<&str>) -> Self {
        self.query
            .extend(value.map(|value| (name, value.to_owned())));
        self
    }

    /// With a body and a key.
    pub fn posting(mut self, body: Value, key: &str) -> Self {
        self.body = Some(body);
        self.key = Some(key.to_owned());
        self
    }
}

/// A user at the doors of all replicas.
#[derive(Clone, Debug)]
pub struct Door {
    http: reqwest::Client,
    cluster: Arc<Cluster>,
    user: String,
    tokens: BTreeMap<u16, String>,
    /// The only server that is called, and the number it goes by; none: all replicas.
    only: Option<(u16, SocketAddr)>,
}

impl Door {
    /// A user who is logged in nowhere yet.
    pub fn new(http: reqwest::Client, cluster: Arc<Cluster>, user: &str) -> Self {
        Self {
            http,
            cluster,
            user: user.to_owned(),
            tokens: BTreeMap::new(),
            only: None,
        }
    }

    /// The same user at one server alone, that others cannot reach; it goes by this number.
    pub fn at(self, number: u16, address: SocketAddr) -> Self {
        Self {
            only: Some((number, address)),
            ..self
        }
    }

    /// The numbers of the replicas this user can call.
    pub fn numbers(&self) -> Vec<u16> {
        match self.only {
            Some((number, _)) => vec![number],
            None => self.cluster.numbers(),
        }
    }

    /// The user's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Calls a replica, logging in first where needed, also when its clock has run past the token.
    pub async fn call(&mut self, replica: u16, call: &Call) -> Answer {
        for _ in 0..2 {
            let Some(token) = self.token(replica).await else {
                return Answer::Refused("no login".into());
            };
            let mut request = self.request(replica, call.method.clone(), &call.path);
            request = request.bearer_auth(token).query(&call.query).timeout(CALL);
            if let Some(key) = &call.key {
                request = request.header("Idempotency-Key", key);
            }
            if let Some(body) = &call.body {
                request = request.json(body);
            }
            match judge(request.send().await).await {
                Answer::Refused(code) if code == "unauthenticated" => {
                    self.tokens.remove(&replica);
                }
                answer => return answer,
            }
        }
        Answer::Refused("unauthenticated".into())
    }

    /// Opens a group's stream after a cursor.
    pub async fn stream(&mut self, replica: u16, group: &str, cursor: &str) -> Option<Response> {
        let token = self.token(replica).await?;
        let path = format!("/v1/groups/{group}/events");
        let request = self
            .request(replica, Method::GET, &path)
            .bearer_auth(token)
            .header("Last-Event-ID", cursor);
        let response = tokio::time::timeout(CALL, request.send())
            .await
            .ok()?
            .ok()?;
        if response.status() == 401 {
            self.tokens.remove(&replica);
        }
        response.status().is_success().then_some(response)
    }

    async fn token(&mut self, replica: u16) -> Option<String> {
        if let Some(token) = self.tokens.get(&replica) {
            return Some(token.clone());
        }
        let login = self
            .request(replica, Method::POST, "/v1/sessions")
            .json(&json!({ "name": self.user }))
            .timeout(CALL);
        let body = judge(login.send().await).await.body()?;
        let token = body["token"].as_str()?.to_owned();
        self.tokens.insert(replica, token.clone());
        Some(token)
    }

    fn request(&self, replica: u16, method: Method, path: &str) -> RequestBuilder {
        let address = match self.only {
            Some((_, address)) => address,
            None => self.cluster.network.door(replica),
        };
        self.http.request(method, format!("http://{address}{path}"))
    }
}

/// Tells what an answer means. `unavailable` and 500 say nothing about what was written.
async fn judge(sent: Result<Response, reqwest::Error>) -> Answer {
    let response = match sent {
        Ok(response) => response,
        Err(failure) if failure.is_connect() => return Answer::Refused("no connection".into()),
        Err(_) => return Answer::Silent,
    };
    let status = response.status();
    let mark = response.headers().get("causeway-mark");
    let mark = mark.and_then(|mark| mark.to_str().ok()).map(str::to_owned);
    let Ok(text) = response.text().await else {
        return Answer::Silent;
    };
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    if status.is_success() {
        return Answer::Done { body, mark };
    }
    let code = body["code"].as_str().unwrap_or_default();
    let says_not_done = status.is_client_error() || ["busy", "behind", "disk_full"].contains(&code);
    if says_not_done && !code.is_empty() {
        Answer::Refused(code.to_owned())
    } else {
        Answer::Silent
    }
}
