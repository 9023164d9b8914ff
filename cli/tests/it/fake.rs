//! A fake server in memory: as much of the API as the client uses, and faults on demand.

mod request;
mod server;
mod stream;
mod world;

use std::io::{BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub use self::request::Request;
use self::request::{decoded, read_request};
use self::world::{World, message_of, problem};

/// No answer, on a connection that stays open.
const HELD: (u16, Value) = (1, Value::Null);

/// Servers that share one history.
#[derive(Clone, Default)]
pub struct Cluster(Arc<(Mutex<World>, Condvar)>);

/// One server; it ends when it is dropped.
pub struct Server {
    pub replica: u64,
    pub address: SocketAddr,
    cluster: Cluster,
    alive: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl Cluster {
    /// A cluster with this name instead of `test`.
    pub fn named(name: &str) -> Self {
        let cluster = Self::default();
        cluster.world().name = Some(name.to_owned());
        cluster
    }

    pub fn start(&self, replica: u64) -> Server {
        self.start_at(replica, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub fn start_at(&self, replica: u64, address: SocketAddr) -> Server {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let alive = Arc::new(Mutex::new(Some(Vec::new())));
        self.world().peers.push((replica, address, true));
        let (cluster, connections) = (self.clone(), Arc::clone(&alive));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut connections = connections.lock().unwrap();
                let Some(open) = connections.as_mut() else {
                    return;
                };
                open.push(stream.try_clone().unwrap());
                let cluster = cluster.clone();
                std::thread::spawn(move || cluster.serve(replica, stream));
            }
        });
        Server {
            replica,
            address,
            cluster: self.clone(),
            alive,
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.0.lock().unwrap()
    }

    /// Sends a frame to every stream; one with an id can be resumed from.
    pub fn frame(&self, event: &str, data: &Value, has_id: bool) {
        let mut world = self.world();
        let id = has_id.then(|| format!("c{}", world.frames.len() + 1));
        world.frames.push((id, event.to_owned(), data.to_string()));
        self.0.1.notify_all();
    }

    /// Adds a message and sends it to all streams.
    pub fn say(&self, author: &str, text: &str) -> Value {
        let message = {
            let mut world = self.world();
            let message = message_of(world.messages.len() + 1, author, text);
            world.messages.push(message.clone());
            message
        };
        self.frame("message", &message, true);
        message
    }

    /// Adds a message without sending it to the streams.
    pub fn history(&self, author: &str, text: &str) {
        let mut world = self.world();
        let message = message_of(world.messages.len() + 1, author, text);
        world.messages.push(message);
    }

    /// A message from the other side of a cut, to everyone's stream; see `World::insert_before`.
    pub fn insert_before(&self, place: usize, author: &str, text: &str) {
        let message = self.world().insert_before(place, author, text);
        self.frame("message", &message, true);
    }

    /// Sets the names of the groups.
    pub fn name_groups(&self, names: &[&str]) {
        self.world().groups = names.iter().map(|name| (*name).to_owned()).collect();
    }

    /// The servers, as a replica sees them.
    pub fn view(&self, replica: u64) -> Value {
        self.world().view(replica)
    }

    /// Stores the next posts and loses their answers.
    pub fn swallow_answers(&self, count: usize) {
        self.world().swallowed_answers = count;
    }

    /// Stores the next posts, and answers them with this status as a gateway would.
    pub fn answer_posts_with(&self, count: usize, status: &str) {
        let mut world = self.world();
        world.swallowed_answers = count;
        world.gateway = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nlost"
        );
    }

    /// Invalidates all tokens issued so far.
    pub fn end_logins(&self) {
        self.world().ended_logins = true;
    }

    /// The replicas that received a request.
    pub fn replicas_asked(&self) -> Vec<u64> {
        let mut replicas: Vec<_> = self
            .world()
            .requests
            .iter()
            .map(|(replica, _)| *replica)
            .collect();
        replicas.sort_unstable();
        replicas.dedup();
        replicas
    }

    /// Stores the next posts and holds their answers back.
    pub fn hold_answers(&self) {
        self.world().holds_answers = true;
    }

    /// Answers posts again.
    pub fn let_answers_go(&self) {
        self.world().holds_answers = false;
    }

    /// Does not answer the next joins.
    pub fn hold_joins(&self, count: usize) {
        self.world().held_joins = count;
    }

    /// Refuses posts as `not_a_member`, until this many have asked to wait for the join.
    pub fn forget_joins(&self, count: usize) {
        self.world().forgotten_joins = count;
    }

    /// From now on only members may post; nobody is a member.
    pub fn ask_for_joins(&self) {
        self.world().joined = Some(Vec::new());
    }

    /// Supports taking likes back.
    pub fn let_unlike(&self) {
        self.world().unlikes = true;
    }

    /// Refuses the next joins because the replica lacks what was seen elsewhere.
    pub fn be_behind(&self, count: usize) {
        self.world().behind = count;
    }

    /// Refuses the next posts because there are too many.
    pub fn limit_posts(&self, count: usize) {
        self.world().limited = count;
    }

    /// Refuses the next joins because the replica is busy.
    pub fn be_busy(&self, count: usize) {
        self.world().busy = count;
    }

    pub fn posts(&self) -> Vec<Request> {
        self.requests("POST", "/messages")
    }

    pub fn requests(&self, method: &str, path_end: &str) -> Vec<Request> {
        let world = self.world();
        let fits = |request: &&Request| {
            request.method == method
                && request
                    .path
                    .split('?')
                    .next()
                    .is_some_and(|path| path.ends_with(path_end))
        };
        world
            .requests
            .iter()
            .map(|(_, request)| request)
            .filter(fits)
            .cloned()
            .collect()
    }

    pub fn texts(&self) -> Vec<String> {
        self.world()
            .messages
            .iter()
            .map(|message| message["text"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits for this many requests of a kind.
    pub fn wait_for_requests(&self, count: usize, method: &str, path_end: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.requests(method, path_end).len() < count {
            assert!(
                Instant::now() < deadline,
                "no {count} requests {method} …{path_end}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn serve(&self, replica: u64, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(request) = read_request(&mut reader) {
            self.world().requests.push((replica, request.clone()));
            if request.path.contains("/events") {
                self.stream_events(&request, &mut stream);
                return;
            }
            let (status, body) = self.answer(replica, &request);
            if status == HELD.0 {
                // Until the connection breaks.
                let _ = stream.read(&mut [0]);
                return;
            }
            if status == 0 {
                let answer = self.world().gateway.clone();
                let _ = stream.write_all(answer.as_bytes());
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
            let body = if body.is_null() {
                String::new()
            } else {
                body.to_string()
            };
            let kind = if status < 400 {
                "application/json"
            } else {
                "application/problem+json"
            };
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nCauseway-Mark: \
                 mark-{replica}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            if stream.write_all((head + &body).as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, replica: u64, request: &Request) -> (u16, Value) {
        let path = request.path.split('?').next().unwrap().to_owned();
        let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
        let mut world = self.world();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["healthz"]) => (200, json!({})),
            ("GET", ["v1", "server"]) => (
                200,
                json!({"version": "0.1.0", "api_level": 1, "replica": replica,
                    "cluster": world.name.as_deref().unwrap_or("test"), "mode": "open"}),
            ),
            ("POST", ["v1", "sessions"]) => {
                let name = request.body["name"].as_str().unwrap().to_owned();
                world.ended_logins = false;
                if name.starts_with('-') {
                    return problem(422, "invalid", "name: begin it with a letter or digit");
                }
                (
                    201,
                    json!({"token": format!("t-{name}"), "user": {"id": name, "name": name},
                        "expires_at": "2030-01-01T00:00:00Z", "replica": replica}),
                )
            }
            _ if request.header("authorization").is_none() || world.ended_logins => {
                problem(401, "unauthenticated", "log in first")
            }
            ("GET", ["v1", "view"]) => (200, world.view(replica)),
            ("PUT", ["v1", "groups", group, "members", "me"]) => {
                world.join(&decoded(group), author_of(request), request)
            }
            ("GET", ["v1", "groups", group]) => (200, world.snapshot(&decoded(group))),
            ("GET", ["v1", "groups", _, "messages", id]) => world
                .messages
                .iter()
                .find(|message| message["id"] == **id)
                .map_or_else(
                    || problem(404, "not_found", "there is no such message"),
                    |message| (200, message.clone()),
                ),
            ("GET", ["v1", "groups"]) => (200, world::groups(&world.groups, request)),
            ("GET", ["v1", "groups", "nowhere", ..]) => {
                problem(404, "not_found", "there is no group `nowhere`")
            }
            ("GET", ["v1", "groups", _, "members"]) => (200, world::members(request)),
            ("GET", ["v1", "groups", _, "changes"]) => (200, world.changes(request)),
            ("GET", ["v1", "groups", _, "messages"]) => (200, world.page(request)),
            ("POST", ["v1", "groups", group, "messages"]) => {
                let author = author_of(request);
                let member = (decoded(group), author.clone());
                if world
                    .joined
                    .as_ref()
                    .is_some_and(|members| !members.contains(&member))
                {
                    return problem(403, "not_a_member", "join the group first");
                }
                if world.forgotten_joins > 0 {
                    if !request.path.contains("at_least=") {
                        return problem(403, "not_a_member", "join the group first");
                    }
                    world.forgotten_joins -= 1;
                    return problem(503, "behind", "not here yet");
                }
                let answer = world.post(&author, request);
                if world.holds_answers {
                    return HELD;
                }
                if world.swallowed_answers > 0 {
                    world.swallowed_answers -= 1;
                    return (0, Value::Null);
                }
                self.0.1.notify_all();
                answer
            }
            ("PUT", ["v1", "groups", _, "messages", id, "likes", "me"]) => {
                let by = author_of(request);
                let answer = world.like(id, &by);
                self.0.1.notify_all();
                answer
            }
            ("DELETE", ["v1", "groups", _, "messages", "m1", "likes", "me"]) if world.unlikes => {
                (200, world.messages[0].clone())
            }
            ("DELETE", ["v1", "groups", _, "messages", _, "likes", "me"]) => problem(
                409,
                "not_liked",
                "you have no like on this message to take back",
            ),
            ("DELETE", _) => (204, Value::Null),
            _ => problem(404, "not_found", "there is no such thing"),
        }
    }
}

fn author_of(request: &Request) -> String {
    request
        .header("authorization")
        .unwrap()
        .trim_start_matches("Bearer t-")
        .to_owned()
}
