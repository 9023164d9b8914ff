//! A way to Postgres that can be shut and can swallow everything, as a network does.

use std::path::PathBuf;

use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// They are carried.
    Open,
    /// They are cut, and new ones too.
    Shut,
    /// New ones are accepted, and nothing that is said on them ever arrives.
    Hole,
}

/// The way, closed when this value goes.
#[derive(Debug)]
pub struct Way {
    folder: TempDir,
    passage: watch::Sender<Passage>,
    task: JoinHandle<()>,
}

const SOCKET: &str = ".s.PGSQL.5432";

impl Way {
    /// Opens a way to the Postgres that an address names by its socket.
    pub fn to(database_url: &str) -> Self {
        let real = decoded(host_of(database_url)).join(SOCKET);
        let folder = tempfile::tempdir().expect("a folder can be made");
        let listener =
            UnixListener::bind(folder.path().join(SOCKET)).expect("a socket can be made");
        let (passage, seen) = watch::channel(Passage::Open);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, real.clone(), seen.clone()));
            }
        });
        Self {
            folder,
            passage,
            task,
        }
    }

    /// The same address by this way.
    pub fn url(&self, database_url: &str) -> String {
        let folder = self.folder.path().to_str().expect("a path of text");
        database_url.replace(host_of(database_url), &folder.replace('/', "%2F"))
    }

    /// Lets connections through, or not.
    pub fn set(&self, passage: Passage) {
        self.passage.send_replace(passage);
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: UnixStream, real: PathBuf, mut passage: watch::Receiver<Passage>) {
    let now = *passage.borrow_and_update();
    if now == Passage::Open
        && let Ok(mut server) = UnixStream::connect(real).await
    {
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => return,
            _ = passage.wait_for(|now| *now != Passage::Open) => {}
        }
    }
    // What fell into a hole stays there until somebody shuts it.
    let _ = passage.wait_for(|now| *now != Passage::Hole).await;
}

fn host_of(database_url: &str) -> &str {
    let (_, options) = database_url
        .split_once("?host=")
        .expect("a socket's folder");
    options.split_once('&').map_or(options, |(host, _)| host)
}

fn decoded(path: &str) -> PathBuf {
    PathBuf::from(path.replace("%2F", "/").replace("%2f", "/"))
}
