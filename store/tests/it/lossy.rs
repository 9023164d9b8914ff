//! A proxy to Postgres that loses one request or one answer, or holds one request, on demand.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the proxy loses next, together with the connection.
#[derive(Clone, Copy)]
pub enum Loss {
    /// The client's next request.
    Request = 1,
    /// The next answer to an insert, after its commit.
    Answer = 2,
}

/// The state of the request to hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// No request is to be held.
    Free,
    /// Holds the next request after this many others.
    After(u32),
    /// A request is held.
    Holding,
}

/// The proxy; closed when dropped.
pub struct LossyProxy {
    folder: tempfile::TempDir,
    next: Arc<AtomicU8>,
    countdown: Arc<AtomicU32>,
    hold: watch::Sender<Hold>,
    /// How many connections are still to be refused.
    shut: watch::Sender<u32>,
    task: JoinHandle<()>,
}

impl LossyProxy {
    /// Opens a proxy to the Postgres at a URL.
    pub async fn to(database_url: &str) -> Self {
        let mut connection = PgConnection::connect(database_url).await.unwrap();
        let real: String = sqlx::query_scalar("SELECT current_setting('unix_socket_directories')")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        let real = PathBuf::from(real).join(SOCKET);
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let next = Arc::new(AtomicU8::new(0));
        let countdown = Arc::new(AtomicU32::new(0));
        let hold = watch::channel(Hold::Free).0;
        let shut = watch::channel(0).0;
        let (loss, left, held) = (next.clone(), countdown.clone(), hold.clone());
        let refusing = shut.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if refusing.send_if_modified(count_down) {
                    continue;
                }
                let server = UnixStream::connect(&real).await.unwrap();
                tokio::spawn(forward(
                    client,
                    server,
                    loss.clone(),
                    left.clone(),
                    held.clone(),
                ));
            }
        });
        Self {
            folder,
            next,
            countdown,
            hold,
            shut,
            task,
        }
    }

    /// The same URL, through the proxy.
    pub fn url(&self, database_url: &str) -> String {
        let (path, options) = database_url.split_once("?host=").unwrap();
        let (_, others) = options.split_once('&').unwrap();
        let folder = self.folder.path().to_str().unwrap().replace('/', "%2F");
        format!("{path}?host={folder}&{others}")
    }

    pub fn lose_next(&self, loss: Loss) {
        self.next.store(loss as u8, Ordering::SeqCst);
    }

    /// Passes this many requests, of any connection, and loses the next one.
    pub fn lose_request_after(&self, passing: u32) {
        self.countdown.store(passing + 1, Ordering::SeqCst);
    }

    /// Passes all requests from now on.
    pub fn lose_no_more_requests(&self) {
        self.countdown.store(0, Ordering::SeqCst);
    }

    /// Passes this many requests, of any connection, and holds the next one.
    pub fn hold_request_after(&self, passing: u32) {
        self.hold.send_replace(Hold::After(passing));
    }

    /// Waits until a request is held.
    pub async fn await_held(&self) {
        let mut hold = self.hold.subscribe();
        hold.wait_for(|hold| *hold == Hold::Holding).await.unwrap();
    }

    /// Passes everything, including the held request.
    pub fn release(&self) {
        self.hold.send_replace(Hold::Free);
    }

    /// Refuses this many of the next connections.
    pub fn refuse_next(&self, callers: u32) {
        self.shut.send_replace(callers);
    }

    /// Waits until all of them were refused.
    pub async fn await_refusals(&self) {
        let mut shut = self.shut.subscribe();
        shut.wait_for(|left| *left == 0).await.unwrap();
    }

    /// Whether the requested loss has happened.
    pub fn has_lost(&self) -> bool {
        self.next.load(Ordering::SeqCst) == 0
    }
}

impl Drop for LossyProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const SOCKET: &str = ".s.PGSQL.5432";

fn count_down(left: &mut u32) -> bool {
    let is_any = *left > 0;
    *left = left.saturating_sub(1);
    is_any
}

/// Forwards bytes both ways until one side closes or a loss is due.
async fn forward(
    mut client: UnixStream,
    mut server: UnixStream,
    loss: Arc<AtomicU8>,
    countdown: Arc<AtomicU32>,
    hold: watch::Sender<Hold>,
) {
    let is_counted_out = || {
        let down = |left: u32| left.checked_sub(1);
        countdown.fetch_update(Ordering::SeqCst, Ordering::SeqCst, down) == Ok(1)
    };
    let is_time_for = |wanted: Loss| {
        let (wanted, done) = (wanted as u8, 0);
        let outcome = loss.compare_exchange(wanted, done, Ordering::SeqCst, Ordering::SeqCst);
        outcome.is_ok()
    };
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            count = client.read(&mut asked) => {
                let bytes = &asked[..count.unwrap_or(0)];
                if bytes.is_empty() || is_time_for(Loss::Request) || is_counted_out() {
                    return;
                }
                hold_if_due(&hold).await;
                if server.write_all(bytes).await.is_err() {
                    return;
                }
            }
            count = server.read(&mut answered) => {
                let bytes = &answered[..count.unwrap_or(0)];
                let inserted = bytes.windows(9).any(|window| window == b"INSERT 0 ");
                if bytes.is_empty() || inserted && is_time_for(Loss::Answer) {
                    return;
                }
                if client.write_all(bytes).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Holds the current request if its turn has come.
async fn hold_if_due(hold: &watch::Sender<Hold>) {
    hold.send_if_modified(|now| match *now {
        Hold::After(0) => std::mem::replace(now, Hold::Holding) != Hold::Holding,
        Hold::After(passing) => {
            *now = Hold::After(passing - 1);
            false
        }
        Hold::Free | Hold::Holding => false,
    });
    let mut free = hold.subscribe();
    let _ = free.wait_for(|now| *now != Hold::Holding).await;
}
