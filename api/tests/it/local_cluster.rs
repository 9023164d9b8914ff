//! `causeway-server dev`: a cluster on one machine, cut and healed by typed lines.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::harness::{Door, PATIENCE, User, eventually, texts};

#[tokio::test]
async fn a_cluster_is_started_cut_healed_and_stopped_by_one_command() {
    let folder = open_folder();
    let mut dev = Dev::start(&folder);
    let [ann, bob, eve] = [
        dev.user(1, "ann").await,
        dev.user(2, "bob").await,
        dev.user(3, "eve").await,
    ];
    for user in [&ann, &bob, &eve] {
        user.joins("lobby").await;
    }

    dev.types("cut 1|2,3");
    eventually("the cut being noticed", async || {
        let view = ann.view().await;
        let peers = view["peers"].as_array().expect("a list");
        let down = peers.iter().filter(|peer| peer["status"] == "down").count();
        if down == 2 {
            Ok(())
        } else {
            Err(view.to_string())
        }
    })
    .await;
    ann.says("lobby", "left").await;
    bob.says("lobby", "right").await;
    dev.types("heal");
    for user in [&ann, &bob, &eve] {
        shows(user, &["left", "right"]).await;
    }

    dev.types("kill 3");
    eventually("replica 3 being gone", async || {
        let gone = eve
            .tries(eve.request(reqwest::Method::GET, "/healthz"))
            .await
            .is_err();
        if gone {
            Ok(())
        } else {
            Err("it answers".into())
        }
    })
    .await;
    ann.says("lobby", "without 3").await;
    dev.types("status");
    dev.says("down").await;
    dev.types("start 3");
    shows(&eve, &["left", "right", "without 3"]).await;

    dev.ends(Signal::INT);
    let mut dev = Dev::start(&folder);
    let ann = dev.user(1, "ann").await;
    shows(&ann, &["left", "right", "without 3"]).await;
    dev.ends(Signal::TERM);
}

#[tokio::test]
async fn a_port_in_use_is_named_before_anything_is_started() {
    let folder = open_folder();
    let base = free_base();
    let taken = TcpListener::bind(("127.0.0.1", base + 2)).expect("it was free");

    let arguments = dev_arguments(&folder, base);
    let output = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        crate::harness::run_to_its_end(&arguments, &[])
    });
    let output = output.await.expect("it ends");

    drop(taken);
    assert_eq!(
        output.status.code(),
        Some(2),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&(base + 2).to_string()), "{said}");
}

async fn shows(user: &User, expected: &[&str]) {
    eventually(&format!("{expected:?} being shown"), async || {
        let path = "/v1/groups/lobby/messages";
        let answer = user.tries(user.request(reqwest::Method::GET, path)).await?;
        let messages = answer.json()["messages"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        if texts(&messages) == expected {
            Ok(())
        } else {
            Err(answer.body)
        }
    })
    .await;
}

/// A running `dev`, killed on drop together with its replicas.
struct Dev {
    child: Child,
    base: u16,
    said: Arc<Mutex<String>>,
}

impl Dev {
    fn start(folder: &TempDir) -> Self {
        let base = free_base();
        let mut child = Command::new(env!("CARGO_BIN_EXE_causeway-server"))
            .args(dev_arguments(folder, base))
            // As on a fresh machine, which has no authorities' certificates.
            .env("SSL_CERT_FILE", "/nonexistent")
            .env("SSL_CERT_DIR", "/nonexistent")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server can be run");
        let said = Arc::new(Mutex::new(String::new()));
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = child.stderr.take().expect("it is piped");
        listen(stdout, Arc::clone(&said));
        listen(stderr, Arc::clone(&said));
        Self { child, base, said }
    }

    async fn user(&self, number: u16, name: &str) -> User {
        let door = Door::at(SocketAddr::from(([127, 0, 0, 1], self.base + number)));
        eventually("the replica being ready", async || {
            let request = door.request(reqwest::Method::GET, "/readyz");
            let answer = request.send().await.map_err(|error| error.to_string());
            match answer {
                Ok(answer) if answer.status() == 200 => Ok(()),
                other => Err(format!("{other:?}; it said {}", self.text())),
            }
        })
        .await;
        User::logs_in(&door, name).await
    }

    fn types(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        writeln!(stdin, "{line}").expect("it reads");
    }

    async fn says(&self, word: &str) {
        eventually(&format!("{word:?} being said"), async || {
            let said = self.text();
            if said.contains(word) {
                Ok(())
            } else {
                Err(said)
            }
        })
        .await;
    }

    fn ends(&mut self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("a process has a number"), signal).expect("it is our child");
        let end = Instant::now() + PATIENCE;
        while self
            .child
            .try_wait()
            .expect("a child can be waited for")
            .is_none()
        {
            assert!(
                Instant::now() < end,
                "dev does not end; it said {}",
                self.text()
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        for number in 1..=3 {
            let address = ("127.0.0.1", self.base + number);
            TcpListener::bind(address).expect("nobody serves there any more");
        }
    }

    fn text(&self) -> String {
        self.said.lock().expect("no holder panics").clone()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The command line of a `dev` in a folder.
pub fn dev_arguments_at_free_ports(folder: &TempDir) -> Vec<String> {
    dev_arguments(folder, free_base())
}

fn dev_arguments(folder: &TempDir, base: u16) -> Vec<String> {
    let data = folder
        .path()
        .join("data")
        .to_str()
        .expect("a path of text")
        .to_owned();
    [
        "dev",
        "--replicas",
        "3",
        "--data",
        &data,
        "--base-port",
        &base.to_string(),
    ]
    .map(str::to_owned)
    .to_vec()
}

fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("it is ours");
    folder
}

/// How many base ports were tried, so that parallel tests try different ones.
static TAKEN: AtomicU16 = AtomicU16::new(0);

/// A base port whose three public and three internal ports are free at this moment.
fn free_base() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let apart = TAKEN.fetch_add(1, Ordering::Relaxed) * 500;
    let start = 20_000 + apart + u16::try_from(std::process::id() % 8_000).expect("it is small");
    let found = (start..32_000)
        .step_by(7)
        .find(|base| (1..=3).all(|number| is_free(base + number) && is_free(base - 1000 + number)));
    found.expect("there are free ports")
}

fn listen(mut pipe: impl Read + Send + 'static, said: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut piece) {
            let text = String::from_utf8_lossy(&piece[..count]);
            said.lock().expect("no holder panics").push_str(&text);
        }
    });
}
