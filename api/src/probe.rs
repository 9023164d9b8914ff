//! Asks a running replica about itself through its public port.

use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, ClientBuilder};
use serde_json::{Value, json};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A client for the pages and the view of replicas.
#[derive(Clone, Debug)]
pub struct Probe(reqwest::Client);

impl Probe {
    /// Returns a probe; keep it, as it reuses connections. It trusts the authorities of the
    /// system and those in this file.
    pub fn new(ca: Option<&Path>) -> anyhow::Result<Self> {
        let pem = ca.map(std::fs::read).transpose()?;
        let trusted = pem
            .map(|pem| Certificate::from_pem_bundle(&pem))
            .transpose()?;
        let trusted = trusted.unwrap_or_default();
        // A system may have no authorities.
        let usual = client().tls_certs_merge(trusted.clone()).build();
        let made = usual.or_else(|_| client().tls_certs_only(trusted).build());
        Ok(Self(made?))
    }

    /// Whether the replica at this public URL is alive.
    pub async fn is_alive(&self, url: &str) -> anyhow::Result<()> {
        self.0
            .get(format!("{url}/healthz"))
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Returns the metrics of a replica, in the text format of Prometheus.
    pub async fn metrics(&self, url: &str) -> anyhow::Result<String> {
        let response = self.0.get(format!("{url}/metrics")).send().await?;
        Ok(response.error_for_status()?.text().await?)
    }

    /// Returns the view of a replica, which requires a login.
    pub async fn view(&self, url: &str) -> anyhow::Result<Value> {
        let login = self
            .0
            .post(format!("{url}/v1/sessions"))
            .json(&json!({ "name": "dev" }));
        let session: Value = login.send().await?.error_for_status()?.json().await?;
        let token = session["token"].as_str().unwrap_or_default();
        let view = self.0.get(format!("{url}/v1/view")).bearer_auth(token);
        Ok(view.send().await?.error_for_status()?.json().await?)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "asks for pages outside the documented API"
)]
fn client() -> ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(TIMEOUT)
        .timeout(TIMEOUT)
        .no_proxy()
}
