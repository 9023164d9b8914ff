//! The links between replicas: one for each direction of each pair, and one from each to itself.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use crate::links::Link;

/// All links. Replicas are known by their numbers.
#[derive(Debug, Default)]
pub struct Network(BTreeMap<(u16, u16), Link>);

impl Network {
    /// Opens the links between replicas; they lead nowhere yet.
    pub async fn between(replicas: &[u16]) -> io::Result<Self> {
        let mut network = Self::default();
        for &replica in replicas {
            network.add(replica).await?;
        }
        Ok(network)
    }

    /// Opens the links from and to one replica more.
    pub async fn add(&mut self, replica: u16) -> io::Result<()> {
        self.0.insert((replica, replica), Link::open().await?);
        for other in self.replicas() {
            if other != replica {
                self.0.insert((replica, other), Link::open().await?);
                self.0.insert((other, replica), Link::open().await?);
            }
        }
        Ok(())
    }

    /// The link by which the first calls the second.
    ///
    /// # Panics
    ///
    /// When one of them was never added.
    pub fn link(&self, from: u16, to: u16) -> &Link {
        &self.0[&(from, to)]
    }

    /// Leads all links to a replica to where it listens for its peers.
    pub fn aim(&self, replica: u16, internal: SocketAddr) {
        for (_, link) in self.0.iter().filter(|((_, to), _)| *to == replica) {
            link.set_target(internal);
        }
    }

    /// Cuts every link between two sides, in both directions.
    pub fn cut<S: AsRef<[u16]>>(&self, sides: &[S]) {
        let side = |number: u16| {
            let mut sides = sides.iter();
            sides.position(|side| side.as_ref().contains(&number))
        };
        for (&(from, to), link) in &self.0 {
            if let (Some(one), Some(other)) = (side(from), side(to))
                && one != other
            {
                link.cut();
            }
        }
    }

    /// Cuts one replica off from all others.
    pub fn isolate(&self, replica: u16) {
        let others = self.replicas().filter(|other| *other != replica);
        self.cut(&[vec![replica], others.collect()]);
    }

    /// Makes every link whole.
    pub fn heal(&self) {
        self.0.values().for_each(Link::heal);
    }

    /// The replicas to or from which a replica's link is cut.
    pub fn cut_from(&self, replica: u16) -> Vec<u16> {
        let is_cut = |from, to| self.link(from, to).is_cut();
        self.replicas()
            .filter(|&other| is_cut(replica, other) || is_cut(other, replica))
            .collect()
    }

    fn replicas(&self) -> impl Iterator<Item = u16> + use<> {
        let numbers: Vec<u16> = self.0.keys().map(|(from, _)| *from).collect();
        let mut last = None;
        numbers
            .into_iter()
            .filter(move |number| last.replace(*number) != Some(*number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cut_separates_the_sides_and_leaves_the_rest() {
        let network = Network::between(&[1, 2, 3, 4]).await.unwrap();

        network.cut(&[vec![1, 2], vec![3]]);

        assert_eq!(network.cut_from(1), [3]);
        assert_eq!(network.cut_from(3), [1, 2]);
        assert_eq!(network.cut_from(4), [0; 0]);
        network.heal();
        assert_eq!(network.cut_from(3), [0; 0]);
        network.isolate(2);
        assert_eq!(network.cut_from(2), [1, 3, 4]);
    }
}
