//! One figure beside what it is compared with.

use std::fmt;

use serde::Serialize;

use crate::rounds::Spread;

/// What a figure is to reach on a machine that does nothing else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// The ratio is this or more.
    RatioMin(f64),
    /// The ratio is this or less.
    RatioMax(f64),
    /// The value is this or less, in the figure's unit.
    ValueMax(f64),
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RatioMin(min) => write!(out, "ratio >= {min}"),
            Self::RatioMax(max) => write!(out, "ratio <= {max}"),
            Self::ValueMax(max) => write!(out, "<= {max}"),
        }
    }
}

/// A figure and its reference, from the same rounds.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: Spread,
    pub(crate) unit: &'static str,
    /// What it is compared with.
    pub(crate) reference: &'static str,
    pub(crate) reference_value: Spread,
    /// None where the figure is only for comparison.
    pub(crate) target: Option<Target>,
}

impl Figure {
    /// Of a figure that has no target.
    pub(crate) fn new(
        name: impl Into<String>,
        unit: &'static str,
        value: Spread,
        reference: &'static str,
        reference_value: Spread,
    ) -> Self {
        Self { name: name.into(), value, unit, reference, reference_value, target: None }
    }

    /// The same with a target.
    pub(crate) fn target(self, target: Target) -> Self {
        Self { target: Some(target), ..self }
    }

    /// The quotient of the medians.
    pub(crate) fn ratio(&self) -> f64 {
        self.value.median / self.reference_value.median
    }

    /// Whether the target is reached.
    pub(crate) fn holds(&self) -> Option<bool> {
        self.target.map(|target| match target {
            Target::RatioMin(min) => self.ratio() >= min,
            Target::RatioMax(max) => self.ratio() <= max,
            Target::ValueMax(max) => self.value.median <= max,
        })
    }

    /// As it stands in the results.
    pub(crate) fn result(&self) -> FigureResult<'_> {
        FigureResult {
            name: &self.name,
            value: self.value.median,
            unit: self.unit,
            reference: self.reference,
            reference_value: self.reference_value.median,
            ratio: self.ratio(),
            quartiles: [self.value.lower, self.value.upper],
            reference_quartiles: [self.reference_value.lower, self.reference_value.upper],
            target: self.target.map(|target| target.to_string()),
            holds: self.holds(),
        }
    }
}

/// One entry of `results.json`.
#[derive(Debug, Serialize)]
pub(crate) struct FigureResult<'a> {
    name: &'a str,
    value: f64,
    unit: &'static str,
    reference: &'static str,
    reference_value: f64,
    ratio: f64,
    quartiles: [f64; 2],
    reference_quartiles: [f64; 2],
    target: Option<String>,
    holds: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, reference: f64, target: Target) -> Figure {
        Figure::new("ring", "ms", Spread::exactly(value), "bare ring", Spread::exactly(reference)).target(target)
    }

    #[test]
    fn a_target_is_a_limit_of_the_ratio_or_of_the_value() {
        assert_eq!(figure(8.0, 10.0, Target::RatioMin(0.8)).holds(), Some(true));
        assert_eq!(figure(7.9, 10.0, Target::RatioMin(0.8)).holds(), Some(false));
        assert_eq!(figure(3.0, 2.0, Target::RatioMax(1.5)).holds(), Some(true));
        assert_eq!(figure(3.1, 2.0, Target::RatioMax(1.5)).holds(), Some(false));
        assert_eq!(figure(0.5, 9.0, Target::ValueMax(0.5)).holds(), Some(true));
        assert_eq!(figure(0.6, 9.0, Target::ValueMax(0.5)).holds(), Some(false));
    }
}
