//! Replicas with a real log each, joined by real HTTP through doors that can be shut.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use causeway_domain::group::GroupCommand;
use causeway_domain::ids::ReplicaId;
use causeway_domain::names::{Name, User, UserId};
use causeway_domain::writing::{Action, Command};
use causeway_postgres::{Disposable, Scratch};
use causeway_replicator::driver::{Clocks, Replicator};
use causeway_replicator::link::http::HttpLink;
use causeway_replicator::serve::{Asked, Channel, Served, admit};
use causeway_replicator_core::auth::{HEADER, PeerKeys};
use causeway_replicator_core::instance::Instance;
use causeway_replicator_core::me::Me;
use causeway_replicator_core::wire::{Caller, PROTOCOL};
use causeway_store::log::{Log, Options, WallClock, WriterTask};
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::hung::{Hung, Way};

/// Longer than anything here takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// What a replica's door does with those who call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Open,
    Shut,
    /// The connection dies in the middle of each answer that carries events.
    Tearing,
}

/// One replica.
pub struct Replica {
    pub id: ReplicaId,
    pub replicator: Replicator,
    pub log: Log,
    /// Where its door is.
    pub url: String,
    door: watch::Sender<Door>,
    torn: Arc<AtomicU32>,
    serving: JoinHandle<()>,
    writer: WriterTask,
    _folder: Scratch,
}

/// Starts that many replicas that know each other. `key`: each one's cluster key.
pub async fn replicas(count: u16, key: impl Fn(u16) -> &'static [u8]) -> Vec<Replica> {
    replicas_beside(count, key, |_| None).await
}

/// Starts that many replicas that know each other, and maybe one more that is not there.
/// `beyond`: each one's way to it.
pub async fn replicas_beside(
    count: u16,
    key: impl Fn(u16) -> &'static [u8],
    beyond: impl Fn(ReplicaId) -> Option<Hung>,
) -> Vec<Replica> {
    let mut listeners = Vec::new();
    for _ in 0..count {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let urls: BTreeMap<ReplicaId, String> = (1..=count)
        .zip(&listeners)
        .map(|(number, l)| (id(number), format!("http://{}", l.local_addr().unwrap())))
        .collect();
    let mut replicas = Vec::new();
    for (number, listener) in (1..=count).zip(listeners) {
        let keys = PeerKeys::new(key(number), None);
        let id = id(number);
        replicas.push(Replica::start(id, keys, listener, &urls, beyond(id)).await);
    }
    replicas
}

impl Replica {
    async fn start(
        id: ReplicaId,
        keys: PeerKeys,
        listener: TcpListener,
        urls: &BTreeMap<ReplicaId, String>,
        beyond: Option<Hung>,
    ) -> Self {
        static INSTANCES: AtomicU64 = AtomicU64::new(1);
        let instance = Instance(INSTANCES.fetch_add(1, Ordering::Relaxed));
        let folder = Scratch::create();
        let wall: WallClock = Arc::new(wall_ms);
        let options = Options {
            replica: id,
            cluster: "test".into(),
            database_url: database().await,
            data_dir: folder.path().to_owned(),
            wall: wall.clone(),
            order: wall.clone(),
            fresh_epoch: u32::from(id.get()),
            max_waiting_writes: 4_096,
            max_lag_ms: 1_000,
            allow_unsafe_postgres: true,
            has_room: Arc::new(|| true),
        };
        let (log, writer) = Log::open(options).await.unwrap();
        let caller = Caller {
            cluster: "test".into(),
            replica: id,
            instance,
        };
        let links: BTreeMap<_, _> = urls
            .iter()
            .filter(|&(&peer, _)| peer != id)
            .map(|(&peer, url)| {
                (
                    peer,
                    HttpLink::new(url, peer, caller.clone(), keys.clone(), None),
                )
            })
            .map(|(peer, link)| (peer, Way::Http(Box::new(link))))
            .chain(beyond.map(|hung| (Hung::id(), Way::Hung(hung))))
            .collect();
        let me = Me {
            origin: log.origin(),
            instance,
            cluster: "test".into(),
            peers: links.keys().copied().collect(),
            protocol: PROTOCOL,
        };
        let replicator = Replicator::spawn(me, links, log.clone(), Clocks::new(wall));
        let (door, seen) = watch::channel(Door::Open);
        let torn = Arc::new(AtomicU32::new(0));
        let house = House {
            replicator: replicator.clone(),
            keys,
            door: seen,
            torn: Arc::clone(&torn),
        };
        let serving = tokio::spawn(open_doors(listener, house));
        Self {
            id,
            replicator,
            log,
            url: urls[&id].clone(),
            door,
            torn,
            serving,
            writer,
            _folder: folder,
        }
    }

    /// Writes one event: somebody joins.
    pub async fn join(&self, who: &str) {
        let name = Name::parse(who).unwrap();
        let user = User {
            id: UserId::of_open_name(&name),
            name: who.to_owned(),
        };
        let command = Command {
            group: Name::parse("lobby").unwrap(),
            action: Action::Group(GroupCommand::Join { user }),
            above: None,
        };
        self.log.submit(command).await.unwrap();
    }

    /// Lets calls in or not. Connections that are open are closed.
    pub fn set_door(&self, door: Door) {
        self.door.send_replace(door);
    }

    /// How many answers a tearing door has torn.
    pub fn torn(&self) -> u32 {
        self.torn.load(Ordering::Relaxed)
    }

    pub async fn stop(self) {
        // Calls that are being served hold the log.
        self.set_door(Door::Shut);
        self.serving.abort();
        let _ = self.serving.await;
        self.replicator.stop().await;
        drop((self.replicator, self.log));
        self.writer.await.unwrap();
    }
}

/// Waits until all hold the same.
pub async fn expect_agreement(replicas: &[Replica], events: u64) {
    until("all hold the same", || {
        let first = replicas[0].log.head();
        let counts = first.vector.iter().map(|(_, seq)| seq).sum::<u64>();
        let mut heads = replicas.iter().map(|replica| replica.log.head());
        counts == events
            && heads.all(|head| head.vector == first.vector && head.hashes == first.hashes)
    })
    .await;
}

/// Waits for a fact.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// What a conversation is about.
#[derive(Clone)]
struct House {
    replicator: Replicator,
    keys: PeerKeys,
    door: watch::Receiver<Door>,
    torn: Arc<AtomicU32>,
}

async fn open_doors(listener: TcpListener, house: House) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (house, mut door) = (house.clone(), house.door.clone());
        tokio::spawn(async move {
            tokio::select! {
                // Who hangs up early is no concern of the server.
                _ = converse(stream, &house) => {}
                _ = door.wait_for(|door| *door == Door::Shut) => {}
            }
        });
    }
}

/// Just enough HTTP for one well-behaved client.
async fn converse(stream: TcpStream, house: &House) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let header = |name: &str| {
            let fields = lines.iter().filter_map(|line| line.split_once(": "));
            let mut named = fields.filter(|(key, _)| key.eq_ignore_ascii_case(name));
            named.next().map(|(_, value)| value)
        };
        let length = header("content-length").map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let mut request = lines[0].split(' ');
        let asked = Asked {
            method: request.next().unwrap(),
            path_and_query: request.next().unwrap(),
            signature: header(HEADER),
            accepts_gzip: header("accept-encoding").is_some_and(|takes| takes.contains("gzip")),
            channel: Channel::Plain,
        };
        let is_pull = asked.method == "GET";
        let served = match admit(&house.replicator, &house.keys, &asked) {
            Ok(admitted) => admitted.serve(&house.replicator, &body).await,
            Err(refused) => refused,
        };
        let mut answer = respond(&served);
        if is_pull && *house.door.borrow() == Door::Tearing {
            answer.truncate(answer.len() - served.body.len() / 2);
            stream.write_all(&answer).await?;
            house.torn.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        stream.write_all(&answer).await?;
    }
}

fn respond(served: &Served) -> Vec<u8> {
    let status = served.status;
    let length = served.body.len();
    let signature = served.signature.as_deref().unwrap_or_default();
    let encoding = if served.is_gzip { "gzip" } else { "identity" };
    let head = format!(
        "HTTP/1.1 {status} -\r\ncontent-length: {length}\r\n{HEADER}: {signature}\r\n\
         content-encoding: {encoding}\r\n\r\n"
    );
    [head.as_bytes(), &served.body].concat()
}

async fn database() -> String {
    static DATABASES: AtomicU32 = AtomicU32::new(1);
    let postgres = tokio::task::spawn_blocking(Disposable::shared)
        .await
        .unwrap();
    let name = format!("replica_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    let mut admin = PgConnection::connect(&postgres.url()).await.unwrap();
    sqlx::query(&format!("CREATE DATABASE {name}"))
        .execute(&mut admin)
        .await
        .unwrap();
    postgres.database_url(&name)
}

fn wall_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

fn id(number: u16) -> ReplicaId {
    ReplicaId::new(number).unwrap()
}
