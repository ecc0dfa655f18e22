//! Rounds, in each of which every contestant has one turn, and what comes of them.

use crate::Failure;

/// One who is measured: gives a value per turn.
pub(crate) trait Contestant {
    /// Measures once.
    fn turn(&mut self) -> Result<f64, Failure>;
}

impl<F: FnMut() -> Result<f64, Failure>> Contestant for F {
    fn turn(&mut self) -> Result<f64, Failure> {
        self()
    }
}

/// What the rounds of one contestant gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// A quarter of the rounds gave less.
    pub(crate) lower: f64,
    /// The median.
    pub(crate) median: f64,
    /// A quarter of the rounds gave more.
    pub(crate) upper: f64,
}

impl Spread {
    /// Of what is counted and not measured.
    pub(crate) const fn exactly(value: f64) -> Self {
        Self { lower: value, median: value, upper: value }
    }

    /// Of at least one value.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let last = values.len() - 1;
        Self { lower: values[last / 4], median: values[last / 2], upper: values[last - last / 4] }
    }
}

/// Gives each contestant an unmeasured turn, which touches every page, and then one turn per round. Another one begins
/// each round, so that none always follows the same one. `progress` is called after each turn.
pub(crate) fn interleave<const N: usize>(
    mut contestants: [&mut dyn Contestant; N],
    rounds: u32,
    mut progress: impl FnMut(),
) -> Result<[Spread; N], Failure> {
    for contestant in &mut contestants {
        contestant.turn()?;
    }
    let mut values = [const { Vec::new() }; N];
    for round in 0..rounds as usize {
        for place in 0..N {
            let number = (round + place) % N;
            values[number].push(contestants[number].turn()?);
            progress();
        }
    }
    Ok(values.map(Spread::of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_the_median_and_the_quartiles() {
        let values = [9.0, 1.0, 5.0, 3.0, 7.0];
        assert_eq!(Spread::of(values.into()), Spread { lower: 3.0, median: 5.0, upper: 7.0 });
        assert_eq!(Spread::of(vec![2.0]), Spread { lower: 2.0, median: 2.0, upper: 2.0 });
    }

    /// Gives the number of its turn.
    struct Counter(f64);

    impl Contestant for Counter {
        fn turn(&mut self) -> Result<f64, Failure> {
            self.0 += 1.0;
            Ok(self.0)
        }
    }

    #[test]
    fn everybody_has_one_turn_per_round_after_one_that_does_not_count() {
        let (mut one, mut other, mut turns) = (Counter(0.0), Counter(100.0), 0);
        let spreads = interleave([&mut one, &mut other], 15, || turns += 1).unwrap();
        assert_eq!((spreads[0].median, spreads[1].median, turns), (9.0, 109.0, 30));
    }
}
