//! The answering server.

use causeway_domain::envelope::LEVEL;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::Tag;
use super::parameters::{AtLeast, text};
use crate::bodies::{Reply, numbers};
use crate::config::{Auth, ReplicaAddress};
use crate::context::Context;
use crate::edge::BodyLimits;
use crate::problem::Problem;

pub struct Server(pub Context);

/// The limits of one replica.
#[derive(Object, Serialize)]
#[oai(rename = "Limits")]
#[expect(
    clippy::struct_field_names,
    reason = "they are the fields of the answer"
)]
struct LimitsBody {
    /// Most characters of a message.
    max_text_chars: u64,
    /// Most bytes of a request's body.
    max_body_bytes: u64,
    /// Most entries of a page.
    max_page: u64,
}

/// The answering server.
#[derive(Object, Serialize)]
#[oai(rename = "Server")]
struct ServerBody {
    /// The program's version.
    version: String,
    /// Counts up with each addition to this API.
    api_level: u32,
    /// The number of this replica.
    replica: u16,
    /// The numbers of all configured replicas, ascending.
    replicas: Vec<u16>,
    /// Where clients find them, in the same order: this replica's address of each.
    public_urls: Vec<String>,
    /// The cluster's name.
    cluster: String,
    /// `open`: a name is enough to log in. `password`: an account is needed.
    mode: String,
    /// The limits of one replica.
    limits: LimitsBody,
}

#[OpenApi(tag = "Tag::Server")]
impl Server {
    /// Describes this server
    #[oai(path = "/v1/server", method = "get", operation_id = "show_server")]
    async fn server(
        &self,
        /// A cursor or mark that this replica must hold first: waits up to 2 s for it.
        at_least: AtLeast,
    ) -> Result<Reply<ServerBody>, Problem> {
        self.0.await_held(text(&at_least)).await?;
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Ok(Reply(ServerBody {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api_level: LEVEL,
            replica: self.0.replica.get(),
            replicas: numbers(&self.0.replicas),
            public_urls: public_urls(&self.0.config.replicas),
            cluster: self.0.config.cluster.clone(),
            mode: match self.0.config.auth {
                Auth::Open => "open".to_owned(),
            },
            limits: LimitsBody {
                max_text_chars: count(self.0.limits().max_text_chars),
                max_body_bytes: count(BodyLimits::default().body_bytes),
                max_page: 500,
            },
        }))
    }
}

fn public_urls(replicas: &[ReplicaAddress]) -> Vec<String> {
    let urls = replicas.iter().map(|replica| replica.public_url.clone());
    urls.collect()
}
