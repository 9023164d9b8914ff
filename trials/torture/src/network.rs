//! The links: one per direction between two replicas, and one from the clients to each replica.

mod mangler;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use causeway_rig::Addresses;
use causeway_rig::links::Link;

use mangler::{Mangler, Mangling};

/// A fault of a link.
#[derive(Clone, Copy, Debug)]
pub enum Harm {
    /// Closes every connection.
    Cut,
    /// Accepts connections and bytes and forwards nothing.
    BlackHole,
    /// Forwards everything after a delay.
    Delay(Duration),
    /// Truncates answers, after this many bytes at most.
    Tear(u64),
    /// Delivers requests twice at once, and once more later.
    Again,
}

/// All links. Replicas are numbered from 1.
#[derive(Debug)]
pub struct Network {
    /// Those between replicas, each of which leads to a mangler.
    links: causeway_rig::Network,
    manglers: BTreeMap<(u16, u16), Mangler>,
    /// Those by which clients come in.
    public: BTreeMap<u16, Link>,
}

impl Network {
    /// Opens the links of `replicas` replicas, without targets.
    pub async fn open(replicas: u16) -> io::Result<Self> {
        let numbers: Vec<u16> = (1..=replicas).collect();
        let mut network = Self {
            links: causeway_rig::Network::between(&numbers).await?,
            manglers: BTreeMap::new(),
            public: BTreeMap::new(),
        };
        for from in 1..=replicas {
            for to in 1..=replicas {
                let mangler = Mangler::open().await?;
                network.links.link(from, to).set_target(mangler.address());
                network.manglers.insert((from, to), mangler);
            }
            let public = Link::open().await?;
            public.cut();
            network.public.insert(from, public);
        }
        Ok(network)
    }

    /// The address at which `from` calls `to`.
    pub fn peer_address(&self, from: u16, to: u16) -> SocketAddr {
        self.links.link(from, to).address()
    }

    /// The address at which clients call a replica; it does not change with restarts.
    pub fn public_address(&self, replica: u16) -> SocketAddr {
        self.public[&replica].address()
    }

    /// Sets the target of all links to a replica.
    pub fn aim(&self, replica: u16, addresses: Addresses) {
        self.public[&replica].set_target(addresses.public);
        let manglers = self.manglers.iter();
        for (_, mangler) in manglers.filter(|((_, to), _)| *to == replica) {
            mangler.set_target(addresses.internal);
        }
    }

    /// Lets clients connect.
    pub fn admit_clients(&self, replica: u16) {
        self.public[&replica].heal();
    }

    /// Refuses clients, and detaches all links, since another program may reuse the replica's port.
    pub fn refuse_clients(&self, replica: u16) {
        self.public[&replica].cut();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        self.aim(
            replica,
            Addresses {
                public: nowhere,
                internal: nowhere,
            },
        );
    }

    /// Harms the link from the first to the second.
    pub fn harm(&self, from: u16, to: u16, harm: Harm) {
        let (link, mangler) = (self.links.link(from, to), &self.manglers[&(from, to)]);
        match harm {
            Harm::Cut => link.cut(),
            Harm::BlackHole => link.black_hole(),
            Harm::Delay(delay) => link.delay(delay),
            Harm::Tear(most) => mangler.mangle(Mangling::Tear(most)),
            Harm::Again => mangler.mangle(Mangling::Again),
        }
    }

    /// Makes the link from the first to the second whole.
    pub fn heal(&self, from: u16, to: u16) {
        self.links.link(from, to).heal();
        self.manglers[&(from, to)].mangle(Mangling::None);
    }

    /// Makes all links between replicas whole.
    pub fn heal_all(&self) {
        self.links.heal();
        for mangler in self.manglers.values() {
            mangler.mangle(Mangling::None);
        }
    }
}
