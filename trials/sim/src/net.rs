//! Links between simulated replicas. Each direction of calling has its own state.

use crate::hits::Hit;
use crate::rng::Rng;

/// Whether replica `a` can call replica `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Calls and answers arrive.
    Open,
    /// Calls fail at once.
    Cut,
    /// Calls vanish.
    BlackHole,
    /// Calls arrive, answers vanish.
    Deaf,
}

/// Delays and losses of messages on open links.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// The range of the usual delay.
    pub delay_ms: (u64, u64),
    /// Lost messages per 1,000.
    pub loss_permille: u64,
    /// Duplicated messages per 1,000.
    pub repeat_permille: u64,
    /// Messages per 1,000 that are delayed by seconds.
    pub stall_permille: u64,
}

impl Weather {
    /// A network without losses or long delays.
    pub const FAIR: Self = Self {
        delay_ms: (1, 5),
        loss_permille: 0,
        repeat_permille: 0,
        stall_permille: 0,
    };

    /// Random weather, from fair to severe.
    pub(crate) fn any(rng: &mut Rng) -> Self {
        let slowest = rng.pick(&[5, 50, 400]);
        Self {
            delay_ms: (1, slowest),
            loss_permille: rng.pick(&[0, 10, 100, 300]),
            repeat_permille: rng.pick(&[0, 50, 500]),
            stall_permille: rng.pick(&[0, 20]),
        }
    }

    /// The delay of one message. Different delays reorder messages.
    pub(crate) fn delay(&self, rng: &mut Rng) -> u64 {
        let usual = rng.between(self.delay_ms.0, self.delay_ms.1);
        let is_stalled = rng.permille(self.stall_permille);
        usual
            + if is_stalled {
                rng.between(500, 3_000)
            } else {
                0
            }
    }
}

/// The state of every link between `size` replicas.
#[derive(Clone, Debug)]
pub(crate) struct Net {
    size: usize,
    ways: Vec<Way>,
    pub weather: Weather,
}

impl Net {
    pub fn open(size: usize) -> Self {
        Self {
            size,
            ways: vec![Way::Open; size * size],
            weather: Weather::FAIR,
        }
    }

    pub fn way(&self, from: usize, to: usize) -> Way {
        self.ways[from * self.size + to]
    }

    pub fn set(&mut self, from: usize, to: usize, way: Way) {
        self.ways[from * self.size + to] = way;
    }

    pub fn heal(&mut self) {
        self.ways.fill(Way::Open);
    }

    /// Opens the links for which `is_joined(from, to)` is true; all others become `broken`.
    pub fn join(&mut self, broken: Way, is_joined: impl Fn(usize, usize) -> bool) {
        for from in 0..self.size {
            for to in 0..self.size {
                let way = if is_joined(from, to) {
                    Way::Open
                } else {
                    broken
                };
                self.set(from, to, way);
            }
        }
    }

    /// Breaks the network in one of the ways known to find bugs (F23).
    pub(crate) fn disturb(&mut self, rng: &mut Rng) -> Option<Hit> {
        let size = self.size;
        let broken = rng.pick(&[Way::Cut, Way::BlackHole, Way::Deaf]);
        let pick = |rng: &mut Rng| rng.index(size);
        match rng.below(7) {
            0 => {
                self.heal();
                None
            }
            1 => {
                let sides = rng.next();
                let side = move |replica: usize| (sides >> replica) & 1;
                self.join(broken, |a, b| side(a) == side(b));
                Some(Hit::Halves)
            }
            2 => {
                let alone = pick(rng);
                self.join(broken, |a, b| a == b || (a != alone && b != alone));
                Some(Hit::Isolated)
            }
            3 => {
                let bridge = pick(rng);
                let side = move |replica: usize| (replica + size - bridge) % size > size / 2;
                self.join(broken, |a, b| {
                    a == bridge || b == bridge || side(a) == side(b)
                });
                Some(Hit::Bridge)
            }
            4 => {
                self.join(broken, |a, b| {
                    let apart = (a + size - b) % size;
                    apart <= 1 || apart == size - 1
                });
                Some(Hit::Ring)
            }
            5 => {
                self.heal();
                for from in 0..size {
                    for to in 0..size {
                        if rng.permille(300) {
                            self.set(from, to, broken);
                        }
                    }
                }
                Some(Hit::OneWay)
            }
            _ => {
                let (from, to) = (pick(rng), pick(rng));
                self.set(from, to, broken);
                Some(Hit::OneLink)
            }
        }
    }

    /// Leaves a spanning tree in which each edge works in one direction only.
    pub(crate) fn leave_a_tree(&mut self, rng: &mut Rng) {
        self.join(Way::Cut, |a, b| a == b);
        for child in 1..self.size {
            let parent = rng.index(child);
            let (from, to) = if rng.permille(500) {
                (child, parent)
            } else {
                (parent, child)
            };
            self.set(from, to, Way::Open);
        }
    }
}
