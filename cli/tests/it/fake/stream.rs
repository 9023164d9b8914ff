//! The stream of the one group.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use super::{Cluster, Request};

impl Cluster {
    pub(super) fn stream_events(&self, request: &Request, stream: &mut TcpStream) {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: \
            close\r\n\r\nretry: 50\n\n";
        let mut next: usize = request
            .header("last-event-id")
            .map_or(0, |id| id[1..].parse().unwrap());
        if stream.write_all(head.as_bytes()).is_err() {
            return;
        }
        let mut is_catching_up = true;
        loop {
            let mut world = self.world();
            while world.frames.len() <= next && !is_catching_up {
                let (woken, waited) = self
                    .0
                    .1
                    .wait_timeout(world, Duration::from_millis(200))
                    .unwrap();
                world = woken;
                if waited.timed_out() {
                    drop(world);
                    if stream.write_all(b": alive\n\n").is_err() {
                        return;
                    }
                    world = self.world();
                }
            }
            let mut text: String = world.frames[next..].iter().map(frame_text).collect();
            next = world.frames.len();
            if std::mem::take(&mut is_catching_up) {
                let _ = write!(text, "event: caught_up\nid: c{next}\ndata: {{}}\n\n");
            }
            drop(world);
            if stream.write_all(text.as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn frame_text((id, event, data): &(Option<String>, String, String)) -> String {
    let id = id
        .as_ref()
        .map_or(String::new(), |id| format!("id: {id}\n"));
    format!("event: {event}\n{id}data: {data}\n\n")
}
