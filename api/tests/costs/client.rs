//! A client that writes HTTP/1.1 by hand and waits on a thread of its own.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long the slowest machine may take for an answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// A client that is logged in and a member of the lobby.
pub struct Client {
    address: SocketAddr,
    stream: TcpStream,
    token: String,
    posted: usize,
}

impl Client {
    pub fn log_in(address: SocketAddr, name: &str) -> Self {
        let mut client = Self {
            address,
            stream: connect(address),
            token: String::new(),
            posted: 0,
        };
        let name = format!(r#"{{"name":"{name}"}}"#);
        let session = client.ask("POST /v1/sessions", "", &name);
        let session: Value = serde_json::from_str(&session).unwrap();
        client.token = session["token"].as_str().unwrap().into();
        client.ask("PUT /v1/groups/lobby/members/me", "", "");
        client
    }

    /// Posts a message with a key and waits until each reader has it.
    pub fn post(&mut self, readers: &mut [TcpStream]) {
        self.posted += 1;
        let text = format!(
            "message {:06} of usual length, as people write them",
            self.posted
        );
        let key = format!("Idempotency-Key: key-{}\r\n", self.posted);
        let body = format!(r#"{{"text":"{text}"}}"#);
        self.ask("POST /v1/groups/lobby/messages", &key, &body);
        for reader in readers {
            read_until(reader, |read| read.contains(&text));
        }
    }

    /// Opens streams of the lobby.
    pub fn listen(&self, streams: usize) -> Vec<TcpStream> {
        let open = || {
            let mut stream = connect(self.address);
            let request = self.request("GET /v1/groups/lobby/events", "", "");
            stream.write_all(request.as_bytes()).unwrap();
            stream
        };
        let mut opened: Vec<TcpStream> = (0..streams).map(|_| open()).collect();
        for stream in &mut opened {
            read_until(stream, |read| read.contains("retry:"));
        }
        opened
    }

    /// Sends a request and reads the body of its answer, which must be a success.
    pub fn ask(&mut self, what: &str, headers: &str, body: &str) -> String {
        let request = self.request(what, headers, body);
        self.stream.write_all(request.as_bytes()).unwrap();
        let answer = read_until(&mut self.stream, |read| {
            read.split_once("\r\n\r\n")
                .is_some_and(|(head, body)| body.len() >= length(head))
        });
        assert!(answer.starts_with("HTTP/1.1 20"), "{what}: {answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn request(&self, what: &str, headers: &str, body: &str) -> String {
        let (token, length) = (&self.token, body.len());
        let mut head = format!("{what} HTTP/1.1\r\nHost: localhost\r\n{headers}");
        if !token.is_empty() {
            write!(head, "Authorization: Bearer {token}\r\n").unwrap();
        }
        if !body.is_empty() {
            let length = format!("Content-Length: {length}");
            write!(head, "Content-Type: application/json\r\n{length}\r\n").unwrap();
        }
        format!("{head}\r\n{body}")
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn read_until(stream: &mut TcpStream, is_whole: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    let mut room = [0; 8 * 1024];
    while !is_whole(&text) {
        let read = stream.read(&mut room).expect("the replica answers");
        assert!(read > 0, "the replica closed the connection after: {text}");
        text += &String::from_utf8_lossy(&room[..read]);
    }
    text
}

fn length(head: &str) -> usize {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let length = lines
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .find_map(|(_, value)| value.parse().ok());
    length.unwrap_or(0)
}
