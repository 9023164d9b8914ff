//! What may stand between a client and its server: it passes everything on, or answers itself, or
//! not at all.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a gate does with a connection.
#[derive(Clone)]
pub enum Mode {
    /// Passes everything on to this server.
    Open(SocketAddr),
    /// Answers every request with these bytes, and closes.
    Answer(Vec<u8>),
    /// Takes what comes and never answers.
    Silent,
}

/// See the module. It ends when dropped.
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

    /// Does otherwise from now on; the connections there are break.
    pub fn set(&self, mode: Mode) {
        let mut state = self.state.lock().unwrap();
        state.mode = Some(mode);
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Answers so from now on.
    pub fn answer(&self, status: &str, kind: &str, body: &str) {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
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
        // Wakes the listener, which then ends and closes its socket.
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
