//! One figure beside what it is compared with.

use serde::Serialize;

use crate::rounds::Spread;

/// A figure and its reference, from the same rounds.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: Spread,
    pub(crate) unit: &'static str,
    /// What it is compared with.
    pub(crate) reference: &'static str,
    pub(crate) reference_value: Spread,
}

impl Figure {
    /// The quotient of the medians.
    pub(crate) fn ratio(&self) -> f64 {
        self.value.median / self.reference_value.median
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
}
