//! The links: one for each direction between two replicas, and one from the clients to each replica.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use causeway_api::links::Link;

/// What a bad link does.
#[derive(Clone, Copy, Debug)]
pub enum Harm {
    /// Closes every connection.
    Cut,
    /// Takes connections and bytes and passes nothing on.
    BlackHole,
    /// Passes everything on later.
    Delay(Duration),
}

/// All links. Replicas are numbered from 1.
#[derive(Debug)]
pub struct Network {
    between: BTreeMap<(u16, u16), Link>,
    doors: BTreeMap<u16, Link>,
}

impl Network {
    /// Opens the links of so many replicas; they lead nowhere yet.
    pub async fn open(replicas: u16) -> io::Result<Self> {
        let mut between = BTreeMap::new();
        let mut doors = BTreeMap::new();
        for from in 1..=replicas {
            for to in 1..=replicas {
                between.insert((from, to), Link::open().await?);
            }
            let door = Link::open().await?;
            door.cut();
            doors.insert(from, door);
        }
        Ok(Self { between, doors })
    }

    /// Where the first calls the second.
    pub fn near_end(&self, from: u16, to: u16) -> SocketAddr {
        self.between[&(from, to)].address()
    }

    /// Where clients call a replica, wherever it listens at the moment.
    pub fn door(&self, replica: u16) -> SocketAddr {
        self.doors[&replica].address()
    }

    /// Leads all links to a replica that listens here.
    pub fn aim(&self, replica: u16, public: SocketAddr, internal: SocketAddr) {
        self.doors[&replica].set_target(public);
        for (_, link) in self.between.iter().filter(|((_, to), _)| *to == replica) {
            link.set_target(internal);
        }
    }

    /// Lets clients in.
    pub fn open_door(&self, replica: u16) {
        self.doors[&replica].heal();
    }

    /// Keeps clients out: nobody may reach another program that was given the port of one that ended.
    pub fn close_door(&self, replica: u16) {
        self.doors[&replica].cut();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        self.aim(replica, nowhere, nowhere);
    }

    /// Harms the way from the first to the second.
    pub fn harm(&self, from: u16, to: u16, harm: Harm) {
        let link = &self.between[&(from, to)];
        match harm {
            Harm::Cut => link.cut(),
            Harm::BlackHole => link.black_hole(),
            Harm::Delay(delay) => link.delay(delay),
        }
    }

    /// Makes the way from the first to the second whole.
    pub fn heal(&self, from: u16, to: u16) {
        self.between[&(from, to)].heal();
    }

    /// Makes all ways between replicas whole.
    pub fn heal_all(&self) {
        self.between.values().for_each(Link::heal);
    }
}
