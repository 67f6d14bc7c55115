//! Rows by the slice of time they are in.

use std::collections::BTreeMap;

use arrow::array::UInt32Array;
use millstream_core::{EventTime, Window, WindowSpec};

/// The rows of a batch by slice.
pub(crate) enum Slices {
    /// All rows are in one.
    One(Window),
    /// The rows of each, and how many are in no window.
    Many { parts: BTreeMap<Window, UInt32Array>, outside: usize },
}

/// Finds every row's slice.
pub(crate) fn by_slice(spec: WindowSpec, times: &[i64]) -> Slices {
    let none = || Slices::Many { parts: BTreeMap::new(), outside: times.len() };
    let (Some(least), Some(most)) = (times.iter().min(), times.iter().max()) else { return none() };
    if let Some(slice) = spec.slice_of(EventTime(*least))
        && *most < slice.end.0
    {
        return Slices::One(slice);
    }
    let mut parts: BTreeMap<Window, Vec<u32>> = BTreeMap::new();
    let mut outside = 0;
    // Neighbours are mostly of one slice: look it up once a run.
    let mut run: Option<(Window, Vec<u32>)> = None;
    for (row, time) in (0_u32..).zip(times) {
        if let Some((slice, rows)) = &mut run
            && slice.start.0 <= *time
            && *time < slice.end.0
        {
            rows.push(row);
            continue;
        }
        if let Some((slice, mut rows)) = run.take() {
            parts.entry(slice).or_default().append(&mut rows);
        }
        match spec.slice_of(EventTime(*time)) {
            Some(slice) => run = Some((slice, vec![row])),
            None => outside += 1,
        }
    }
    if let Some((slice, mut rows)) = run {
        parts.entry(slice).or_default().append(&mut rows);
    }
    let parts = parts.into_iter().map(|(slice, rows)| (slice, UInt32Array::from(rows))).collect();
    Slices::Many { parts, outside }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::{Duration, Grid, Step};

    #[test]
    fn rows_come_together_by_slice_in_their_order() {
        let spec = WindowSpec::Tumble(Grid { step: Step::Fixed(Duration(10)), offset: Duration(0) });
        let Slices::Many { parts, outside } = by_slice(spec, &[1, 25, 9, -1, 20, 0]) else { panic!("many slices") };
        let parts: Vec<(i64, Vec<u32>)> =
            parts.into_iter().map(|(slice, rows)| (slice.start.0, rows.values().to_vec())).collect();
        assert_eq!((parts, outside), (vec![(-10, vec![3]), (0, vec![0, 2, 5]), (20, vec![1, 4])], 0));
        assert!(matches!(by_slice(spec, &[1, 9, 0]), Slices::One(slice) if slice.start.0 == 0));
    }

    #[test]
    fn rows_between_windows_are_counted() {
        let slide = Grid { step: Step::Fixed(Duration(10)), offset: Duration(0) };
        let spec = WindowSpec::Hop { slide, size: Step::Fixed(Duration(3)) };
        let Slices::Many { parts, outside } = by_slice(spec, &[1, 5, 12, 9]) else { panic!("two slices") };
        assert_eq!((parts.len(), outside), (2, 2));
    }
}
