//! A figure, its yardstick and its goal.

use crate::stats::Spread;

/// One line of the table.
#[derive(Debug)]
pub struct Line {
    /// The number of the budget.
    pub budget: &'static str,
    pub what: String,
    pub unit: &'static str,
    pub ours: Spread,
    pub yardstick: Option<Spread>,
    /// The ratio of figure and yardstick, per run.
    pub ratio: Option<Spread>,
    /// `None` if the figure is only reported.
    pub goal: Option<Goal>,
    pub note: String,
}

/// The bounds of a ratio, or of a figure without a yardstick.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    pub must: Bound,
    pub aim: Bound,
}

#[derive(Clone, Copy, Debug)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Whether the median of a line reaches its goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Aim,
    Must,
    Missed,
}

impl Goal {
    pub fn at_least(must: f64, aim: f64) -> Self {
        Self {
            must: Bound::AtLeast(must),
            aim: Bound::AtLeast(aim),
        }
    }

    pub fn at_most(must: f64, aim: f64) -> Self {
        Self {
            must: Bound::AtMost(must),
            aim: Bound::AtMost(aim),
        }
    }

    fn verdict(self, value: f64) -> Verdict {
        match value {
            value if self.aim.holds(value) => Verdict::Aim,
            value if self.must.holds(value) => Verdict::Must,
            _ => Verdict::Missed,
        }
    }
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

/// A line from pairs of figure and yardstick, one per run.
pub fn paired(
    budget: &'static str,
    what: impl Into<String>,
    unit: &'static str,
    pairs: &[(f64, f64)],
    goal: Goal,
) -> Line {
    Line {
        budget,
        what: what.into(),
        unit,
        ours: Spread::of(pairs.iter().map(|pair| pair.0).collect()),
        yardstick: Some(Spread::of(pairs.iter().map(|pair| pair.1).collect())),
        ratio: Some(Spread::of(
            pairs.iter().map(|(ours, theirs)| ours / theirs).collect(),
        )),
        goal: Some(goal),
        note: String::new(),
    }
}

/// A line from a figure with an absolute goal, or none.
pub fn alone(
    budget: &'static str,
    what: impl Into<String>,
    unit: &'static str,
    ours: Vec<f64>,
    goal: Option<Goal>,
) -> Line {
    Line {
        budget,
        what: what.into(),
        unit,
        ours: Spread::of(ours),
        yardstick: None,
        ratio: None,
        goal,
        note: String::new(),
    }
}

impl Line {
    /// Adds a note.
    pub fn with(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Whether it reaches its goal; `None` without a goal.
    pub fn verdict(&self) -> Option<Verdict> {
        let value = self.ratio.unwrap_or(self.ours).median;
        Some(self.goal?.verdict(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(goal: Goal, ours: f64) -> Option<Verdict> {
        paired("B0", "", "", &[(ours, 1.0)], goal).verdict()
    }

    #[test]
    fn a_ratio_reaches_the_aim_or_what_it_must_or_misses_both() {
        let more_is_better = Goal::at_least(1.3, 2.0);
        let less_is_better = Goal::at_most(2.5, 1.6);

        let more = [2.0, 1.3, 1.2].map(|ours| verdict(more_is_better, ours));
        let less = [1.6, 2.5, 2.6].map(|ours| verdict(less_is_better, ours));

        let expected = [Verdict::Aim, Verdict::Must, Verdict::Missed].map(Some);
        assert_eq!((more, less), (expected, expected));
    }

    #[test]
    fn a_figure_without_a_number_is_a_miss() {
        assert_eq!(
            verdict(Goal::at_most(1.0, 0.5), f64::NAN),
            Some(Verdict::Missed)
        );
    }
}
