//! A real browser, driven by the protocol of `WebDriver`.

use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::PATIENCE;

/// How often a page is looked at for what is to appear on it.
const LOOK: Duration = Duration::from_millis(50);
/// The key of an element's id in the protocol.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Headless Chromium with one window.
#[derive(Debug)]
pub struct Browser {
    http: Client,
    session: String,
    _driver: Child,
    _profile: TempDir,
}

impl Browser {
    /// Starts one; nothing, and a line that says so, where there is none and no CI.
    pub async fn start() -> Option<Self> {
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut driver = match driver {
            Ok(driver) => driver,
            Err(error) if std::env::var_os("CI").is_none() => {
                eprintln!("NOT TRIED: chromedriver ({error}); install chromium-driver");
                return None;
            }
            Err(error) => panic!("chromedriver: {error}; .ci/run installs it"),
        };
        let port = port_of(&mut driver).await;
        let profile = tempfile::tempdir().expect("a folder can be made");
        let http = Client::builder().no_proxy().build().expect("a client");
        let base = format!("http://127.0.0.1:{port}/session");
        let request = http.post(&base).json(&capabilities(&profile));
        let answer: Value = request
            .send()
            .await
            .expect("it answers")
            .json()
            .await
            .expect("JSON");
        let id = answer["value"]["sessionId"].as_str();
        let id = id.unwrap_or_else(|| panic!("no session: {answer}"));
        Some(Self {
            http,
            session: format!("{base}/{id}"),
            _driver: driver,
            _profile: profile,
        })
    }

    /// Opens a page.
    pub async fn open(&self, url: &str) {
        self.call(Method::POST, "url", json!({ "url": url }))
            .await
            .expect("the page opens");
    }

    /// Clicks the element of a selector as soon as that works.
    pub async fn click(&self, selector: &str) {
        self.with(selector, async |id| {
            self.call(Method::POST, &format!("element/{id}/click"), json!({}))
                .await
        })
        .await;
    }

    /// Types into a field.
    pub async fn write(&self, selector: &str, text: &str) {
        self.with(selector, async |id| {
            self.call(
                Method::POST,
                &format!("element/{id}/value"),
                json!({ "text": text }),
            )
            .await
        })
        .await;
    }

    /// The text of an element as it is shown.
    pub async fn text(&self, selector: &str) -> String {
        let text = self.with(selector, async |id| {
            self.call(Method::GET, &format!("element/{id}/text"), Value::Null)
                .await
        });
        text.await.as_str().expect("a text").to_owned()
    }

    /// Every address that was asked for since the start, or since this was asked last.
    pub async fn requests(&self) -> Vec<String> {
        let wanted = json!({ "type": "performance" });
        let entries = self
            .call(Method::POST, "se/log", wanted)
            .await
            .expect("a log");
        let entries = entries.as_array().expect("a list");
        let messages = entries.iter().map(|entry| {
            let message = entry["message"].as_str().expect("a text");
            serde_json::from_str::<Value>(message).expect("JSON")["message"].clone()
        });
        messages
            .filter(|message| message["method"] == "Network.requestWillBeSent")
            .map(|message| {
                message["params"]["request"]["url"]
                    .as_str()
                    .expect("a URL")
                    .into()
            })
            .collect()
    }

    /// Writes a picture of the page into the tests' folder, for whoever wants to look.
    pub async fn screenshot(&self, name: &str) {
        let picture = self
            .call(Method::GET, "screenshot", Value::Null)
            .await
            .expect("a picture");
        let picture = picture.as_str().expect("base64");
        let bytes = base64::prelude::BASE64_STANDARD
            .decode(picture)
            .expect("base64");
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(folder.join(name), bytes).expect("it can be written");
    }

    /// Ends it.
    pub async fn quit(self) {
        let ended = self.http.delete(&self.session).send().await;
        ended.expect("the browser ends");
    }

    /// Does something with an element again and again until it is there and can be used.
    async fn with(
        &self,
        selector: &str,
        act: impl AsyncFn(String) -> Result<Value, Value>,
    ) -> Value {
        let mut last = Value::Null;
        let trying = async {
            loop {
                let wanted = json!({ "using": "css selector", "value": selector });
                let done = match self.call(Method::POST, "element", wanted).await {
                    Ok(found) => act(found[ELEMENT].as_str().expect("an id").to_owned()).await,
                    Err(error) => Err(error),
                };
                match done {
                    Ok(value) => return value,
                    Err(error) => last = error,
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let done = tokio::time::timeout(PATIENCE, trying).await;
        done.unwrap_or_else(|_| panic!("{selector}: {}", last["message"]))
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Result<Value, Value> {
        let mut request = self
            .http
            .request(method, format!("{}/{path}", self.session));
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("the driver answers");
        let is_done = answer.status().is_success();
        let mut answer: Value = answer.json().await.expect("JSON");
        let value = answer["value"].take();
        if is_done { Ok(value) } else { Err(value) }
    }
}

/// The driver says on its standard output where it listens.
async fn port_of(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().expect("it is piped")).lines();
    while let Some(line) = lines.next_line().await.expect("it can be read") {
        if let Some((_, rest)) = line.split_once("started successfully on port ") {
            let port = rest.trim_end_matches('.').parse().expect("a number");
            // What it says later must not fill the pipe.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return port;
        }
    }
    panic!("chromedriver ended")
}

fn capabilities(profile: &TempDir) -> Value {
    let profile = format!("--user-data-dir={}", profile.path().display());
    // Without background networking nothing but the page asks for anything.
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1280,1600",
        &profile,
    ];
    json!({ "capabilities": { "alwaysMatch": {
        "goog:chromeOptions": { "args": arguments },
        "goog:loggingPrefs": { "performance": "ALL" },
    } } })
}
