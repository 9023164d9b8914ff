//! Stopping a server, and breaking its connections.

use std::net::{Shutdown, TcpStream};

use super::Server;

impl Server {
    pub fn name(&self) -> String {
        self.address.to_string()
    }

    /// As kill -9: every connection breaks, and there will be no other.
    pub fn kill(&self) {
        let Some(connections) = self.alive.lock().unwrap().take() else {
            return;
        };
        for connection in connections {
            let _ = connection.shutdown(Shutdown::Both);
        }
        // Wakes up the listener, which then ends and closes its socket.
        let _ = TcpStream::connect(self.address);
        let mut world = self.cluster.world();
        for peer in world
            .peers
            .iter_mut()
            .filter(|(number, ..)| *number == self.replica)
        {
            peer.2 = false;
        }
    }

    /// Breaks all connections, as a server does with slow readers.
    pub fn break_connections(&self) {
        for connection in self
            .alive
            .lock()
            .unwrap()
            .iter_mut()
            .flat_map(|open| open.drain(..))
        {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
