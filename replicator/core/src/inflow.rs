//! How fast a peer writes, by what its digests say of its own events.

/// More than any replica writes, whatever a peer says.
const MOST_PER_S: u64 = 1_000_000;
/// Minimum time between two samples.
const SAMPLE_MS: u64 = 500;

/// The rate at which a peer's own events come to be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Inflow {
    last: Option<(u64, u64)>,
    per_s: u64,
}

impl Inflow {
    /// Records how many own events the peer has written. Fewer than before: it has a new epoch.
    pub fn wrote(&mut self, now_ms: u64, events: u64) {
        let Some((last_ms, last)) = self.last else {
            self.last = Some((now_ms, events));
            return;
        };
        let took_ms = now_ms.saturating_sub(last_ms);
        if took_ms < SAMPLE_MS {
            return;
        }
        self.last = Some((now_ms, events));
        let sample = events.saturating_sub(last).saturating_mul(1_000) / took_ms;
        let sample = sample.min(MOST_PER_S);
        // Bursts between two digests must not make the pace jump.
        self.per_s = self.per_s.midpoint(sample);
    }

    /// Events per second.
    pub fn per_s(&self) -> u64 {
        self.per_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_the_growth_and_not_the_size() {
        let mut inflow = Inflow::default();

        inflow.wrote(1_000, 45_000);
        assert_eq!(inflow.per_s(), 0, "the first digest shows no growth");
        for second in 2..10 {
            inflow.wrote(second * 1_000, 45_000 + second * 400);
            inflow.wrote(second * 1_000 + 1, 45_000 + second * 400 + 1);
        }
        assert!((395..=405).contains(&inflow.per_s()), "{}", inflow.per_s());
        for second in 10..30 {
            inflow.wrote(second * 1_000, 45_000 + 9 * 400);
        }
        assert_eq!(inflow.per_s(), 0);
    }
}
