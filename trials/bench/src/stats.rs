//! Medians and spreads of figures.

use std::time::Duration;

/// The median of several runs, with minimum and maximum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Computes the spread of figures.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            at(middle)
        } else {
            f64::midpoint(at(middle.wrapping_sub(1)), at(middle))
        };
        Self {
            median,
            min: at(0),
            max: at(values.len().wrapping_sub(1)),
        }
    }
}

/// A percentile of the samples, in milliseconds.
pub fn percentile_ms(samples: &mut [Duration], share: f64) -> f64 {
    if samples.is_empty() {
        return f64::NAN;
    }
    samples.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index within the samples"
    )]
    let index = ((samples.len() - 1) as f64 * share).round() as usize;
    samples[index].as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_odd_and_of_an_even_number() {
        let odd = Spread::of(vec![3.0, 1.0, 2.0]);
        let even = Spread::of(vec![4.0, 1.0, 2.0, 3.0]);

        let expected = |median, max| Spread {
            median,
            min: 1.0,
            max,
        };
        assert_eq!((odd, even), (expected(2.0, 3.0), expected(2.5, 4.0)));
    }

    #[test]
    fn a_percentile_is_one_of_the_samples() {
        let mut samples: Vec<_> = (1..=100).map(Duration::from_millis).collect();

        let half = percentile_ms(&mut samples, 0.5);
        let most = percentile_ms(&mut samples, 0.99);
        let nothing = percentile_ms(&mut [], 0.5);

        assert!((half - 51.0).abs() < 1e-9 && (most - 99.0).abs() < 1e-9);
        assert!(nothing.is_nan());
    }
}
