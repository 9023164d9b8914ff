//! What a replica says about itself when asked from outside, as any client would ask.

use std::time::Duration;

use serde_json::{Value, json};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks replicas; shares nothing with what they tell each other.
#[derive(Clone, Debug)]
pub struct Probe(reqwest::Client);

impl Probe {
    /// Makes one, to be kept: it reuses connections.
    #[expect(
        clippy::disallowed_methods,
        reason = "asks for pages outside the documented API"
    )]
    pub fn new() -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .connect_timeout(PATIENCE)
            .timeout(PATIENCE)
            .no_proxy();
        Ok(Self(client.build()?))
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

    /// What the replica measures, in the text form of Prometheus.
    pub async fn metrics(&self, url: &str) -> anyhow::Result<String> {
        let asked = self.0.get(format!("{url}/metrics")).send().await?;
        Ok(asked.error_for_status()?.text().await?)
    }

    /// The replica's view, for which it wants somebody logged in.
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
