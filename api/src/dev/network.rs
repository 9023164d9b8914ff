//! The links between the replicas of a local cluster: one for each direction of each pair.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use crate::links::Link;

/// All links.
#[derive(Debug)]
pub(super) struct Network(BTreeMap<(u16, u16), Link>);

impl Network {
    /// Opens the links between replicas with these numbers and internal addresses.
    pub(super) async fn between(replicas: &[(u16, SocketAddr)]) -> io::Result<Self> {
        let mut links = BTreeMap::new();
        for &(from, _) in replicas {
            for &(to, target) in replicas.iter().filter(|(to, _)| *to != from) {
                let link = Link::open().await?;
                link.set_target(target);
                links.insert((from, to), link);
            }
        }
        Ok(Self(links))
    }

    /// Where the first calls the second.
    pub(super) fn near_end(&self, from: u16, to: u16) -> Option<SocketAddr> {
        self.0.get(&(from, to)).map(Link::address)
    }

    /// Cuts every link between two sides, in both directions.
    pub(super) fn cut(&self, sides: &[Vec<u16>]) {
        let side = |number: u16| sides.iter().position(|side| side.contains(&number));
        for (&(from, to), link) in &self.0 {
            if let (Some(one), Some(other)) = (side(from), side(to))
                && one != other
            {
                link.cut();
            }
        }
    }

    /// Makes every link whole.
    pub(super) fn heal(&self) {
        self.0.values().for_each(Link::heal);
    }

    /// The replicas to or from which a replica's link is cut.
    pub(super) fn cut_from(&self, number: u16) -> Vec<u16> {
        let is_cut = |from, to| self.0.get(&(from, to)).is_some_and(Link::is_cut);
        let others = self
            .0
            .keys()
            .filter(|(from, _)| *from == number)
            .map(|(_, to)| *to);
        others
            .filter(|&other| is_cut(number, other) || is_cut(other, number))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cut_separates_the_sides_and_leaves_the_rest() {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        let network = Network::between(&[1, 2, 3, 4].map(|number| (number, nowhere)))
            .await
            .unwrap();

        network.cut(&[vec![1, 2], vec![3]]);

        assert_eq!(network.cut_from(1), [3]);
        assert_eq!(network.cut_from(3), [1, 2]);
        assert_eq!(network.cut_from(4), [0; 0]);
        network.heal();
        assert_eq!(network.cut_from(3), [0; 0]);
    }
}
