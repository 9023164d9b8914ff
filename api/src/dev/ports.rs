//! Which ports the replicas of a local cluster have.

use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::UserError;

/// Most replicas on one machine.
const MOST_REPLICAS: u16 = 99;
/// How far below the public ports those for peers are.
const INTERNAL_BELOW: u16 = 1000;

/// The two doors of one replica.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) public: SocketAddr,
    pub(super) internal: SocketAddr,
}

impl Ports {
    /// The doors of each replica, from number 1.
    pub(super) fn of(replicas: u16, base: u16) -> Result<Vec<(u16, Self)>, UserError> {
        if !(1..=MOST_REPLICAS).contains(&replicas) {
            return Err(UserError(format!(
                "--replicas has to be a number from 1 to {MOST_REPLICAS}"
            )));
        }
        let lowest = INTERNAL_BELOW;
        let highest = u16::MAX - replicas;
        if !(lowest..=highest).contains(&base) {
            return Err(UserError(format!(
                "--base-port has to be a number from {lowest} to {highest}"
            )));
        }
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let doors = |number| Self {
            public: local(base + number),
            internal: local(base - INTERNAL_BELOW + number),
        };
        Ok((1..=replicas)
            .map(|number| (number, doors(number)))
            .collect())
    }

    /// Refuses ports that someone has. Former replicas of ours may need a moment to let go.
    pub(super) fn are_free(&self, number: u16, patience: Duration) -> Result<(), UserError> {
        let deadline = Instant::now() + patience;
        for address in [self.public, self.internal] {
            while let Err(error) = TcpListener::bind(address) {
                if Instant::now() >= deadline {
                    let text = format!(
                        "replica {number} cannot listen on {address}: {error}; stop what has that port, or choose others with --base-port"
                    );
                    return Err(UserError(text));
                }
                thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_follow_the_number_of_the_replica() {
        let ports = Ports::of(5, 12000).unwrap();

        let (number, third) = ports[2];
        assert_eq!(number, 3);
        assert_eq!(third.public.to_string(), "127.0.0.1:12003");
        assert_eq!(third.internal.to_string(), "127.0.0.1:11003");
    }

    #[test]
    fn impossible_numbers_are_refused() {
        for (replicas, base) in [(0, 12000), (100, 12000), (5, 999), (5, 65533)] {
            Ports::of(replicas, base).unwrap_err();
        }
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = taken.local_addr().unwrap();
        let ports = Ports {
            public: address,
            internal: address,
        };

        let refused = ports.are_free(4, Duration::ZERO).unwrap_err().to_string();

        assert!(
            refused.contains(&address.to_string()) && refused.contains("replica 4"),
            "{refused}"
        );
    }
}
