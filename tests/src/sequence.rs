//! Whether pictures came complete, in order, and at their time.

use std::time::{Duration, Instant};

use crate::numbered_clip::presentation_of;
use crate::picture_fifo::Arrival;

/// What is to be said about the order of numbered pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Pictures that came.
    pub came: usize,
    /// Numbers up to the expected end that never came.
    pub missing: usize,
    /// Pictures whose number came before.
    pub duplicated: usize,
    /// Pictures that came after a later one.
    pub out_of_order: usize,
    /// Pictures without a readable number.
    pub unreadable: usize,
}

impl Order {
    /// Compares what came with the numbers 0 to `end`, the latter not included.
    pub fn of(arrivals: &[Arrival], end: u16) -> Self {
        let numbers: Vec<u16> = arrivals.iter().filter_map(|arrival| arrival.number).collect();
        let mut order = Self { came: arrivals.len(), unreadable: arrivals.len() - numbers.len(), ..Self::default() };
        let mut latest = None;
        for (place, number) in numbers.iter().enumerate() {
            if numbers[..place].contains(number) {
                order.duplicated += 1;
            } else if latest.is_some_and(|latest| *number < latest) {
                order.out_of_order += 1;
            }
            latest = latest.max(Some(*number));
        }
        order.missing = (0..end).filter(|number| !numbers.contains(number)).count();
        order
    }

    /// Every picture came once, and in its place.
    pub fn is_perfect(&self) -> bool {
        (self.missing, self.duplicated, self.out_of_order, self.unreadable) == (0, 0, 0, 0)
    }
}

/// The number after the last that came: how far it was played.
pub fn end_of(arrivals: &[Arrival]) -> u16 {
    arrivals.iter().filter_map(|arrival| arrival.number).max().map_or(0, |number| number.saturating_add(1))
}

/// Pictures a second, from the first to the last; `None` where there are not two.
pub fn rate_hz(arrivals: &[Arrival]) -> Option<f64> {
    let (first, last) = (arrivals.first()?, arrivals.last()?);
    let seconds = (last.at - first.at).as_secs_f64();
    (seconds > 0.0).then(|| (arrivals.len() - 1) as f64 / seconds)
}

/// Whether no picture came before its time, when playing was asked for at `since`.
pub fn is_never_early(arrivals: &[Arrival], since: Instant) -> bool {
    let due = |arrival: &Arrival| Some(since + presentation_of(arrival.number?));
    arrivals.iter().all(|arrival| due(arrival).is_none_or(|due| arrival.at >= due))
}

/// How late pictures came, by a schedule that the most punctual of them sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lateness {
    /// Half of them were later.
    pub median: Duration,
    /// The latest.
    pub worst: Duration,
}

impl Lateness {
    /// `None` where no picture has a number.
    pub fn of(arrivals: &[Arrival]) -> Option<Self> {
        let start = arrivals.first()?.at;
        let offset = |arrival: &Arrival| {
            let due = presentation_of(arrival.number?).as_secs_f64();
            Some((arrival.at - start).as_secs_f64() - due)
        };
        let mut offsets: Vec<f64> = arrivals.iter().filter_map(offset).collect();
        offsets.sort_by(f64::total_cmp);
        let late = |offset: Option<&f64>| Some(Duration::from_secs_f64((offset? - offsets.first()?).max(0.0)));
        Some(Self { median: late(offsets.get(offsets.len() / 2))?, worst: late(offsets.last())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(of: &[(Option<u16>, u64)]) -> Vec<Arrival> {
        let start = Instant::now();
        of.iter()
            .map(|(number, after)| Arrival { at: start + Duration::from_millis(*after), number: *number })
            .collect()
    }

    #[test]
    fn what_is_wrong_with_an_order_is_counted_by_its_kind() {
        let came = arrivals(&[(Some(0), 0), (Some(2), 1), (Some(1), 2), (Some(2), 3), (None, 4)]);
        let expected = Order { came: 5, missing: 1, duplicated: 1, out_of_order: 1, unreadable: 1 };
        assert_eq!(Order::of(&came, 4), expected);
        assert_eq!(end_of(&came), 3);
        assert!(!expected.is_perfect());
    }

    #[test]
    fn a_perfect_order_is_perfect_and_nothing_is_not() {
        let came = arrivals(&[(Some(0), 0), (Some(1), 1), (Some(2), 2)]);
        assert!(Order::of(&came, 3).is_perfect());
        assert!(!Order::of(&[], 3).is_perfect());
    }

    #[test]
    fn the_most_punctual_picture_sets_the_schedule() {
        let came = arrivals(&[(Some(0), 30), (Some(1), 50), (Some(2), 92), (Some(3), 130)]);
        let lateness = Lateness::of(&came).unwrap();
        assert_eq!((lateness.median.as_millis(), lateness.worst.as_millis()), (2, 20));
        assert_eq!(rate_hz(&came), Some(30.0));
        assert_eq!(rate_hz(&came[..1]), None);
    }

    #[test]
    fn a_picture_before_its_time_is_seen() {
        let came = arrivals(&[(Some(0), 30), (Some(1), 50)]);
        assert!(!is_never_early(&came, came[0].at - Duration::from_millis(5)));
        assert!(is_never_early(&came, came[0].at - Duration::from_millis(20)));
    }
}
