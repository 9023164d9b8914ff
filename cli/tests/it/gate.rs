//! A proxy between a client and its server: it forwards everything, answers by itself, or stays
//! silent.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a gate does with a connection.
#[derive(Clone)]
pub enum Mode {
    /// Forwards everything to this server.
    Open(SocketAddr),
    /// Answers every request with these bytes, and closes.
    Answer(Vec<u8>),
    /// Accepts everything and never answers.
    Silent,
}

/// A proxy that ends when it is dropped.
pub struct Gate {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    mode: Option<Mode>,
    open: Vec<TcpStream>,
}

impl Gate {
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            mode: Some(Mode::Open(server)),
            open: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mode = {
                    let mut state = shared.lock().unwrap();
                    state.open.push(stream.try_clone().unwrap());
                    state.mode.clone()
                };
                let Some(mode) = mode else { return };
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || pass(stream, mode, &shared));
            }
        });
        Self { address, state }
    }

    pub fn name(&self) -> String {
        self.address.to_string()
    }

    /// Changes the mode and closes the present connections.
    pub fn set(&self, mode: Mode) {
        let mut state = self.state.lock().unwrap();
        state.mode = Some(mode);
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Answers every request with this from now on.
    pub fn answer(&self, status: &str, kind: &str, body: &str) {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: \
             {length}\r\nConnection: close\r\n\r\n{body}"
        );
        self.set(Mode::Answer(answer.into_bytes()));
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        {
            let mut state = self.state.lock().unwrap();
            state.mode = None;
            for stream in state.open.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        // Wakes up the listener, which then ends and closes its socket.
        let _ = TcpStream::connect(self.address);
    }
}

fn pass(mut client: TcpStream, mode: Mode, state: &Mutex<State>) {
    match mode {
        Mode::Open(server) => {
            let Ok(mut upstream) = TcpStream::connect(server) else {
                let _ = client.shutdown(Shutdown::Both);
                return;
            };
            state
                .lock()
                .unwrap()
                .open
                .push(upstream.try_clone().unwrap());
            let mut from_client = client.try_clone().unwrap();
            let mut to_server = upstream.try_clone().unwrap();
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from_client, &mut to_server);
                let _ = to_server.shutdown(Shutdown::Both);
            });
            let _ = std::io::copy(&mut upstream, &mut client);
            let _ = client.shutdown(Shutdown::Both);
        }
        Mode::Answer(answer) => {
            let mut request = vec![0; 65_536];
            if let Ok(1..) = client.read(&mut request) {
                let _ = client.write_all(&answer);
            }
            let _ = client.shutdown(Shutdown::Both);
        }
        Mode::Silent => {
            let _ = std::io::copy(&mut client, &mut std::io::sink());
        }
    }
}
