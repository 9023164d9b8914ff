//! Faults of links: cuts, silence, delays.

use std::time::Duration;

use super::{Failed, Nemesis};
use crate::kinds::Kind;
use crate::network::Harm;

impl Nemesis {
    pub(super) async fn harm_network(&mut self, kind: Kind) -> Result<(), Failed> {
        let numbers = self.cluster.numbers();
        let order = self.rng.shuffled(&numbers);
        match kind {
            Kind::OneByOne => {
                self.one_by_one(&order).await;
                return Ok(());
            }
            Kind::Flap => {
                self.flap(&order).await;
                return Ok(());
            }
            _ => {}
        }
        let harm = match kind {
            Kind::BlackHole => Harm::BlackHole,
            Kind::Delay => Harm::Delay(Duration::from_millis(self.rng.between(50, 2_500))),
            Kind::Torn => Harm::Tear(self.rng.between(2_000, 300_000)),
            Kind::Again => Harm::Again,
            Kind::Stall => Harm::Delay(Duration::from_millis(self.rng.between(12_000, 25_000))),
            _ => Harm::Cut,
        };
        let shape = match kind {
            Kind::BlackHole | Kind::Delay | Kind::Stall | Kind::Torn | Kind::Again => {
                *self.rng.pick(&SHAPES)
            }
            other => other,
        };
        let mut ways = ways(shape, &order);
        if shape == Kind::Ragged {
            ways.retain(|_| self.rng.chance(40));
        }
        self.begin(kind, format!("{} of {order:?}, {harm:?}", shape.name()));
        for (from, to) in &ways {
            self.cluster.network.harm(*from, *to, harm);
        }
        self.hold_between(2_000, 9_000).await;
        self.cluster.network.heal_all();
        Ok(())
    }

    async fn flap(&mut self, order: &[u16]) {
        let shape = *self.rng.pick(&SHAPES);
        let ways = ways(shape, order);
        self.begin(Kind::Flap, format!("{} of {order:?}", shape.name()));
        for _ in 0..self.rng.between(10, 30) {
            for (from, to) in &ways {
                self.cluster.network.harm(*from, *to, Harm::Cut);
            }
            self.hold_between(10, 250).await;
            self.cluster.network.heal_all();
            self.hold_between(10, 250).await;
        }
    }

    async fn one_by_one(&mut self, order: &[u16]) {
        let ways = ways(Kind::Isolate, order);
        self.begin(Kind::OneByOne, format!("replica {}", order[0]));
        for (from, to) in self.rng.shuffled(&ways) {
            self.cluster.network.harm(from, to, Harm::Cut);
            self.hold_between(100, 600).await;
        }
        for (from, to) in self.rng.shuffled(&ways) {
            self.cluster.network.heal(from, to);
            self.hold_between(100, 600).await;
        }
    }
}

/// The variants of silent and slow links.
const SHAPES: [Kind; 6] = [
    Kind::Halves,
    Kind::Isolate,
    Kind::OneWay,
    Kind::Deaf,
    Kind::Ragged,
    Kind::Apart,
];

/// The links (from, to) that a shape cuts; `order` assigns the replicas to its roles.
fn ways(shape: Kind, order: &[u16]) -> Vec<(u16, u16)> {
    let count = order.len();
    let part = |replica: u16| order.iter().position(|it| *it == replica).unwrap_or(0);
    let closes = |from: u16, to: u16| {
        let (from, to) = (part(from), part(to));
        match shape {
            Kind::Halves => (from < count / 2) != (to < count / 2),
            // The last replica reaches both sides.
            Kind::Bridge => {
                from != count - 1 && to != count - 1 && (from < count / 2) != (to < count / 2)
            }
            Kind::Ring => {
                let apart = from.abs_diff(to);
                apart != 1 && apart != count - 1
            }
            Kind::OneWay => from == 0,
            Kind::Deaf => to == 0,
            Kind::Apart | Kind::Ragged => true,
            _ => from == 0 || to == 0,
        }
    };
    let pairs = order
        .iter()
        .flat_map(|from| order.iter().map(|to| (*from, *to)));
    pairs
        .filter(|(from, to)| from != to && closes(*from, *to))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_close_what_their_names_say() {
        let order = [3, 1, 5, 2, 4];

        assert_eq!(ways(Kind::Halves, &order).len(), 2 * 2 * 3);
        assert_eq!(ways(Kind::Bridge, &order).len(), 2 * 2 * 2);
        assert!(
            ways(Kind::Bridge, &order)
                .iter()
                .all(|(from, to)| *from != 4 && *to != 4)
        );
        assert_eq!(ways(Kind::Ring, &order).len(), 5 * 2);
        assert!(!ways(Kind::Ring, &order).contains(&(3, 4)));
        assert_eq!(ways(Kind::Isolate, &order).len(), 2 * 4);
        assert_eq!(ways(Kind::OneWay, &order), [(3, 1), (3, 5), (3, 2), (3, 4)]);
        assert_eq!(ways(Kind::Deaf, &order), [(1, 3), (5, 3), (2, 3), (4, 3)]);
        assert_eq!(ways(Kind::Apart, &order).len(), 5 * 4);
    }
}
