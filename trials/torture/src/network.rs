//! The links: one for each direction between two replicas, and one from the clients to each replica.

mod mangler;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use causeway_api::links::Link;

use mangler::{Mangler, Mangling};

/// What a bad link does.
#[derive(Clone, Copy, Debug)]
pub enum Harm {
    /// Closes every connection.
    Cut,
    /// Takes connections and bytes and passes nothing on.
    BlackHole,
    /// Passes everything on later.
    Delay(Duration),
    /// Answers break off, after so many bytes at most.
    Tear(u64),
    /// Requests arrive twice at once, and once more later.
    Again,
}

/// The way from one replica to another.
#[derive(Debug)]
struct Way {
    link: Link,
    mangler: Mangler,
}

impl Way {
    async fn open() -> io::Result<Self> {
        let (link, mangler) = (Link::open().await?, Mangler::open().await?);
        link.set_target(mangler.address());
        Ok(Self { link, mangler })
    }

    fn heal(&self) {
        self.link.heal();
        self.mangler.mangle(Mangling::None);
    }
}

/// All links. Replicas are numbered from 1.
#[derive(Debug)]
pub struct Network {
    between: BTreeMap<(u16, u16), Way>,
    doors: BTreeMap<u16, Link>,
}

impl Network {
    /// Opens the links of so many replicas; they lead nowhere yet.
    pub async fn open(replicas: u16) -> io::Result<Self> {
        let mut between = BTreeMap::new();
        let mut doors = BTreeMap::new();
        for from in 1..=replicas {
            for to in 1..=replicas {
                between.insert((from, to), Way::open().await?);
            }
            let door = Link::open().await?;
            door.cut();
            doors.insert(from, door);
        }
        Ok(Self { between, doors })
    }

    /// Where the first calls the second.
    pub fn near_end(&self, from: u16, to: u16) -> SocketAddr {
        self.between[&(from, to)].link.address()
    }

    /// Where clients call a replica, wherever it listens at the moment.
    pub fn public_address(&self, replica: u16) -> SocketAddr {
        self.doors[&replica].address()
    }

    /// Leads all links to a replica that listens here.
    pub fn aim(&self, replica: u16, public: SocketAddr, internal: SocketAddr) {
        self.doors[&replica].set_target(public);
        for (_, way) in self.between.iter().filter(|((_, to), _)| *to == replica) {
            way.mangler.set_target(internal);
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
        let way = &self.between[&(from, to)];
        match harm {
            Harm::Cut => way.link.cut(),
            Harm::BlackHole => way.link.black_hole(),
            Harm::Delay(delay) => way.link.delay(delay),
            Harm::Tear(most) => way.mangler.mangle(Mangling::Tear(most)),
            Harm::Again => way.mangler.mangle(Mangling::Again),
        }
    }

    /// Makes the way from the first to the second whole.
    pub fn heal(&self, from: u16, to: u16) {
        self.between[&(from, to)].heal();
    }

    /// Makes all ways between replicas whole.
    pub fn heal_all(&self) {
        self.between.values().for_each(Way::heal);
    }
}
