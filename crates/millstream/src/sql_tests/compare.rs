//! Expected rows against those that were given, table by table.

use std::collections::{BTreeMap, VecDeque};

use super::Row;

/// Pairs of rows that are looked at to find rows that belong together; beyond, differing rows are only listed.
const PAIRS_MAX: usize = 4_000_000;

/// What a row is in a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Expected and given.
    Same,
    /// Expected and not given.
    Missing,
    /// Given and not expected.
    Unexpected,
}

/// A table whose rows are not the expected ones: all its rows, in an order for reading.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) table: String,
    pub(crate) rows: Vec<(Mark, Row)>,
}

impl Difference {
    /// How many rows have a mark.
    pub(crate) fn count(&self, mark: Mark) -> usize {
        self.rows.iter().filter(|(of_row, _)| *of_row == mark).count()
    }
}

/// The tables that differ. Without `is_ordered` the rows of a table have no order.
pub(super) fn compare(expected: &[Row], given: &[Row], is_ordered: bool) -> Vec<Difference> {
    let mut tables: BTreeMap<&str, (Vec<&Row>, Vec<&Row>)> = BTreeMap::new();
    for row in expected {
        tables.entry(&row.table).or_default().0.push(row);
    }
    for row in given {
        tables.entry(&row.table).or_default().1.push(row);
    }
    let differences = tables.into_iter().map(|(table, (expected, given))| {
        let rows = if is_ordered { in_order(&expected, &given) } else { in_any_order(&expected, &given) };
        let rows = rows.into_iter().map(|(mark, row)| (mark, row.clone())).collect();
        Difference { table: table.to_owned(), rows }
    });
    differences.filter(|table| table.rows.iter().any(|(mark, _)| *mark != Mark::Same)).collect()
}

type Marked<'a> = Vec<(Mark, &'a Row)>;

/// The expected rows in their order, and after each missing one the unexpected row that is most like it.
fn in_any_order<'a>(expected: &[&'a Row], given: &[&'a Row]) -> Marked<'a> {
    let mut left: BTreeMap<&BTreeMap<String, String>, VecDeque<usize>> = BTreeMap::new();
    for (index, row) in given.iter().enumerate() {
        left.entry(&row.members).or_default().push_back(index);
    }
    let mut mark = |row: &Row| match left.get_mut(&row.members).and_then(VecDeque::pop_front) {
        Some(_) => Mark::Same,
        None => Mark::Missing,
    };
    let marks: Vec<Mark> = expected.iter().map(|row| mark(row)).collect();
    let mut unexpected: Vec<usize> = left.into_values().flatten().collect();
    unexpected.sort_unstable();
    let is_small = marks.iter().filter(|mark| **mark == Mark::Missing).count() * unexpected.len() <= PAIRS_MAX;
    let mut rows = Vec::new();
    for (mark, row) in marks.into_iter().zip(expected) {
        rows.push((mark, *row));
        if mark == Mark::Missing && is_small {
            let likeness = |place: &usize| alike(row, given[unexpected[*place]]);
            let likest = (0..unexpected.len()).rev().max_by_key(likeness).filter(|place| likeness(place) > 0);
            if let Some(place) = likest {
                rows.push((Mark::Unexpected, given[unexpected.remove(place)]));
            }
        }
    }
    rows.extend(unexpected.into_iter().map(|index| (Mark::Unexpected, given[index])));
    rows
}

/// How many members two rows have in common.
fn alike(a: &Row, b: &Row) -> usize {
    a.members.iter().filter(|(name, value)| b.members.get(*name) == Some(*value)).count()
}

/// The longest run of rows that both have, in order; all others are missing or unexpected.
fn in_order<'a>(expected: &[&'a Row], given: &[&'a Row]) -> Marked<'a> {
    let is_same = |(a, b): &(&&Row, &&Row)| a.members == b.members;
    let head = expected.iter().zip(given).take_while(is_same).count();
    let tail = expected[head..].iter().rev().zip(given[head..].iter().rev()).take_while(is_same).count();
    let (a, b) = (&expected[head..expected.len() - tail], &given[head..given.len() - tail]);
    // The length of the longest common sequence of what follows on each pair of places.
    let width = b.len() + 1;
    let is_small = a.len() * b.len() <= PAIRS_MAX;
    let mut common = vec![0_u32; if is_small { (a.len() + 1) * width } else { 0 }];
    if is_small {
        for (i, j) in (0..a.len()).rev().flat_map(|i| (0..b.len()).rev().map(move |j| (i, j))) {
            common[i * width + j] = if a[i].members == b[j].members {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let at = |i: usize, j: usize| common.get(i * width + j).copied().unwrap_or(0);
    let same = |row: &&'a Row| (Mark::Same, *row);
    let mut rows: Marked<'a> = expected[..head].iter().map(same).collect();
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && is_small && a[i].members == b[j].members {
            rows.push((Mark::Same, a[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < a.len() && (j == b.len() || at(i + 1, j) >= at(i, j + 1)) {
            rows.push((Mark::Missing, a[i]));
            i += 1;
        } else {
            rows.push((Mark::Unexpected, b[j]));
            j += 1;
        }
    }
    rows.extend(expected[expected.len() - tail..].iter().map(same));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql_tests::rows::read;

    /// Rows of single letters and digits: `a1` is `{"k":"a","n":1}`.
    fn rows(text: &str) -> Vec<Row> {
        let line = |row: &str| format!("{{\"table\":\"t\",\"row\":{{\"k\":\"{}\",\"n\":{}}}}}\n", &row[..1], &row[1..]);
        read(&text.split_whitespace().map(line).collect::<String>()).unwrap()
    }

    fn compared(expected: &str, given: &str, is_ordered: bool) -> String {
        let differences = compare(&rows(expected), &rows(given), is_ordered);
        let shown = differences.iter().flat_map(|table| &table.rows).map(|(mark, row)| {
            let sign = match mark {
                Mark::Same => "",
                Mark::Missing => "-",
                Mark::Unexpected => "+",
            };
            format!("{sign}{}{}", row.members["k"].trim_matches('"'), row.members["n"])
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn rows_are_compared_as_often_as_they_are_there() {
        assert_eq!(compared("a1 b2 a1", "a1 a1 b2", false), "");
        assert_eq!(compared("a1 b2", "a1 a1 b2", false), "a1 b2 +a1");
        assert_eq!(compared("a1 a1", "a1", false), "a1 -a1");
        assert_eq!(compared("", "a1", false), "+a1");
    }

    #[test]
    fn a_changed_row_stands_beside_what_it_was() {
        assert_eq!(compared("a1 b2 c3", "b3 d9 c3 a1", false), "a1 -b2 +b3 c3 +d9");
    }

    #[test]
    fn order_counts_only_if_it_is_to() {
        assert_eq!(compared("a1 b2 c3", "b2 a1 c3", false), "");
        assert_eq!(compared("a1 b2 c3", "a1 b2 c3", true), "");
        assert_eq!(compared("a1 b2 c3 d4", "b2 a1 c3 d4", true), "-a1 b2 +a1 c3 d4");
        assert_eq!(compared("a1 b2 c3", "a1 x9 c3", true), "a1 -b2 +x9 c3");
    }
}
