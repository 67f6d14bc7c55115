//! Which queries are asked: one seed, the same queries.
//!
//! What is left out has its reason beside it.

use chrono_tz::Tz;
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, IteratorRandom};

use super::expand::Window;
use super::query::{Bounds, Frame, Groups, Join, Query, Relation};

/// Sums, and means of quarters, are exact, so that no order of rows shows.
const AGGREGATES: [&str; 20] = [
    "count(*)",
    "count(k)",
    "count(v)",
    "sum(n)",
    "sum(v)",
    "min(n)",
    "max(n)",
    "min(v)",
    "max(v)",
    "min(k)",
    "max(k)",
    "min(ts)",
    "max(ts)",
    "avg(v)",
    "avg(n)",
    "count(DISTINCT n)",
    "count(DISTINCT k)",
    "sum(v) FILTER (WHERE n > 2)",
    "count(*) FILTER (WHERE k = 'hot')",
    "sum(CASE WHEN n % 2 = 0 THEN v ELSE 0.0 END)",
];

/// Aggregates that `SQLite` does not have: these are compared between stream and batch.
pub(super) const DATAFUSION_ONLY: [&str; 7] = [
    "first_value(n ORDER BY ts, id)",
    "last_value(v ORDER BY ts, id)",
    "median(n)",
    "array_agg(n ORDER BY n, ts, id)",
    "stddev(n) IS NULL",
    "bool_or(n > 3)",
    "bit_xor(n)",
];

const FILTERS: [&str; 7] = [
    "n > 0",
    "n <> 1 AND n % 3 <> 2",
    "k IS NOT NULL AND v < 5",
    "k = 'hot'",
    "k IN ('hot', 'k7')",
    "NOT (v > 0)",
    "v IS NULL OR n BETWEEN -4 AND 4",
];

const WINDOW_FILTERS: [&str; 3] =
    ["window_start IS NOT NULL AND n <> 1", "window_end > ts AND n > -5", "window_start < ts"];

const HAVINGS: [&str; 5] =
    ["count(*) > 1", "sum(n) > 0", "max(v) IS NOT NULL", "count(DISTINCT n) > 1", "min(n) < 0 AND count(*) < 9"];

/// GROUPING SETS, and which they are.
const SETS: [(&str, &[&[&str]]); 4] = [
    ("GROUPING SETS ((k, n), (k), ())", &[&["k", "n"], &["k"], &[]]),
    ("GROUPING SETS ((k), (n))", &[&["k"], &["n"]]),
    ("ROLLUP (k, n)", &[&["k", "n"], &["k"], &[]]),
    ("CUBE (k, n)", &[&["k", "n"], &["k"], &["n"], &[]]),
];

const SCALARS: [&str; 12] = [
    "CASE WHEN n > 0 THEN k WHEN n = 0 THEN 'zero' ELSE 'none' END",
    "n * 2 + 1",
    "n % 4",
    "n / 2",
    "v * 2",
    "COALESCE(v, 0.5)",
    "COALESCE(k, 'nobody')",
    "k || '-x'",
    "upper(k)",
    "abs(n)",
    "NULLIF(k, 'hot')",
    "n > 0 AND v < 0",
];

/// A random query.
pub(super) fn query(random: &mut SmallRng) -> Query {
    let mut grammar = Grammar { random };
    grammar.query()
}

struct Grammar<'a> {
    random: &'a mut SmallRng,
}

impl Grammar<'_> {
    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        *choices.choose(self.random).expect("there is a choice")
    }

    /// Up to `most` of the choices, at least one.
    fn some(&mut self, choices: &[&'static str], most: usize) -> Vec<&'static str> {
        let count = self.random.random_range(1..=most);
        choices.iter().copied().choose_multiple(self.random, count)
    }

    fn maybe<T: Copy>(&mut self, chance: f64, choices: &[T]) -> Option<T> {
        self.random.random_bool(chance).then(|| self.pick(choices))
    }

    fn query(&mut self) -> Query {
        match self.random.random_range(0..26) {
            0..5 => Query::Groups(self.groups(true)),
            5 => self.binned(),
            6 => {
                let (form, sets) = self.pick(&SETS);
                let (window, filter) = (self.unkeyed_window(), self.filter());
                let of = Groups { window, filter, bounds: Bounds::Both, ..self.groups(false) };
                Query::Sets { of, form, sets }
            }
            7 => {
                let mut of = self.groups(false);
                // Sums need numbers.
                of.aggregates = self.some(&AGGREGATES[..5], 1);
                if matches!(of.window, Window::Session { .. }) {
                    of.bounds = Bounds::Both;
                }
                if let Window::Session { by_key: true, gap } = of.window {
                    of.window = Window::Session { by_key: false, gap };
                }
                Query::Nested { of }
            }
            8..10 => {
                let (limit, by_limit) = (self.random.random_range(1..4), self.random.random_bool(0.5));
                let bounds = Bounds::Both;
                Query::TopGroups { of: Groups { bounds, ..self.groups(false) }, limit, by_limit }
            }
            10 => Query::TopRows {
                relation: self.relation(),
                window: self.window(),
                by: if self.random.random_bool(0.5) { vec!["k"] } else { Vec::new() },
                order: self.pick(&["n DESC, ts, id", "ts, id", "ts DESC, id DESC", "v NULLS LAST, ts, id"]),
                limit: self.random.random_range(1..4),
            },
            11..13 => self.rewindow(),
            13 => {
                let (window, mut columns) = (self.window(), self.some(&["k", "n", "v", "n % 3 AS m"], 2));
                if matches!(window, Window::Session { by_key: true, .. }) && !columns.contains(&"k") {
                    columns.push("k");
                }
                Query::Distinct { relation: self.relation(), window, columns, filter: self.filter() }
            }
            14 => self.rows(),
            15 => self.along_windows(),
            16..18 => self.window_join(),
            18..20 => Query::IntervalJoin {
                join: self.pick(&[Join::Inner, Join::Left, Join::Right, Join::Full, Join::Semi, Join::Anti]),
                by_key: self.random.random_bool(0.7),
                before: self.pick(&[0, 1, 3000, 10_000, -1000]),
                after: self.pick(&[1000, 1001, 5000, 60_000]),
                condition: self.maybe(0.3, &["r.n >= l.n", "r.n <> l.n"]),
            },
            20..22 => self.over(),
            22..24 => Query::First {
                relation: self.relation(),
                by: self.pick(&["k", "n", "k, n"]),
                order: self.pick(&["ts, id", "ts DESC, id DESC", "n DESC, ts, id", "v NULLS LAST, ts, id"]),
                limit: self.random.random_range(1..4),
                condition: self.maybe(0.2, &["n > 0"]),
            },
            24 => Query::Updating {
                relation: self.relation(),
                keys: self.pick_keys(&[&["k"], &["n"], &["k", "n"]]),
                filter: self.maybe(0.4, &FILTERS),
                aggregates: self.aggregates(true),
                having: self.maybe(0.3, &HAVINGS),
            },
            _ => Query::Stateless {
                relation: self.relation(),
                columns: self.some(&SCALARS, 4),
                filter: self.maybe(0.5, &FILTERS),
            },
        }
    }

    fn groups(&mut self, datafusion_only: bool) -> Groups {
        let window = self.window();
        let mut keys = self.pick_keys(&[&[], &["k"], &["n"], &["k", "n"]]);
        let bounds = match window {
            Window::Session { by_key, .. } => {
                if by_key && !keys.contains(&"k") {
                    keys.push("k");
                }
                self.pick(&[Bounds::Both, Bounds::All])
            }
            // Those that start together are several windows: without their end they cannot be told apart, and are refused.
            Window::Cumulate { .. } | Window::CumulateDay { .. } => {
                self.pick(&[Bounds::Both, Bounds::End, Bounds::All])
            }
            _ => self.pick(&[Bounds::Both, Bounds::Both, Bounds::Start, Bounds::End, Bounds::All]),
        };
        let (relation, filter) = (self.relation(), self.filter());
        let aggregates = self.aggregates(datafusion_only);
        Groups { relation, window, bounds, filter, keys, aggregates, having: self.maybe(0.25, &HAVINGS) }
    }

    fn pick_keys(&mut self, choices: &[&[&'static str]]) -> Vec<&'static str> {
        self.pick(choices).to_vec()
    }

    fn aggregates(&mut self, datafusion_only: bool) -> Vec<&'static str> {
        if datafusion_only && self.random.random_bool(0.15) {
            return self.some(&DATAFUSION_ONLY, 3);
        }
        self.some(&AGGREGATES, 4)
    }

    fn filter(&mut self) -> Option<&'static str> {
        if self.random.random_bool(0.15) { self.maybe(1.0, &WINDOW_FILTERS) } else { self.maybe(0.4, &FILTERS) }
    }

    fn relation(&mut self) -> Relation {
        match self.random.random_range(0..14) {
            0..7 => Relation::Stream("a"),
            7 => Relation::Stream("b"),
            8..10 => Relation::Filtered("a", self.pick(&FILTERS)),
            10 => Relation::Pairs,
            11 => Relation::Summed,
            12 => Relation::Firsts,
            _ => Relation::Both,
        }
    }

    fn window(&mut self) -> Window {
        let offset = self.pick(&[0, 0, 0, 3000, -1000, 1]);
        let zone = self.pick(&[Tz::Asia__Seoul, Tz::America__New_York]);
        match self.random.random_range(0..12) {
            0..3 => Window::Tumble { size: self.pick(&[1, 1000, 7000, 10_000, 60_000, 3_600_000]), offset },
            3..6 => {
                // Overlapping, side by side, with gaps between them, and no multiples.
                let (slide, size) = self.pick(&[
                    (2000, 10_000),
                    (7000, 10_000),
                    (10_000, 10_000),
                    (10_000, 3000),
                    (1001, 5000),
                    (1000, 30_000),
                    (60_000, 3_600_000),
                ]);
                Window::Hop { slide, size, offset }
            }
            6..8 => {
                let (step, max) = self.pick(&[(1000, 10_000), (10_000, 10_000), (2500, 10_000), (20_000, 60_000)]);
                Window::Cumulate { step, max, offset }
            }
            8..10 => {
                Window::Session { gap: self.pick(&[1, 1000, 5000, 7000, 60_000]), by_key: self.random.random_bool(0.6) }
            }
            10 => Window::Day { zone },
            _ if self.random.random_bool(0.5) => Window::HopDays { days: self.pick(&[1, 3]), zone },
            _ => Window::CumulateDay { step: self.pick(&[3 * 3_600_000, 8 * 3_600_000]), zone },
        }
    }

    /// Not a session by key, which would have to be in every set.
    fn unkeyed_window(&mut self) -> Window {
        match self.window() {
            Window::Session { gap, .. } => Window::Session { gap, by_key: false },
            window => window,
        }
    }

    fn binned(&mut self) -> Query {
        Query::Binned {
            size: self.pick(&[1000, 15_000, 7000]),
            keys: self.pick_keys(&[&[], &["k"]]),
            aggregates: self.aggregates(true),
            having: self.maybe(0.3, &HAVINGS),
        }
    }

    fn rewindow(&mut self) -> Query {
        let mut of = self.groups(false);
        of.aggregates = self.some(&AGGREGATES[..5], 1);
        let keyed = of.keys.contains(&"k");
        let window = match self.window() {
            Window::Session { gap, by_key } => Window::Session { gap, by_key: by_key && keyed },
            window => window,
        };
        let aggregates = self.some(&["count(*)", "sum(a0)", "max(a0)", "count(DISTINCT a0)"], 3);
        Query::Rewindow { of, window, aggregates }
    }

    fn rows(&mut self) -> Query {
        let functions = self.some(
            &[
                "count(*) OVER (PARTITION BY window_start, window_end)",
                "sum(n) OVER (PARTITION BY window_start, window_end, k ORDER BY ts, id)",
                "RANK() OVER (PARTITION BY window_start, window_end ORDER BY n)",
                "LEAD(n) OVER (PARTITION BY window_start, window_end, k ORDER BY ts DESC, id DESC)",
            ],
            2,
        );
        let functions = if self.random.random_bool(0.5) { functions } else { Vec::new() };
        Query::Rows { relation: self.relation(), window: self.window(), filter: self.filter(), functions }
    }

    fn along_windows(&mut self) -> Query {
        let mut of = self.groups(false);
        of.aggregates = self.some(&AGGREGATES[..5], 1);
        of.keys = vec!["k"];
        of.bounds = Bounds::Both;
        let functions = self.some(
            &[
                "LAG(a0) OVER (PARTITION BY k ORDER BY window_end)",
                "sum(a0) OVER (PARTITION BY k ORDER BY window_end ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)",
                "max(a0) OVER (PARTITION BY k ORDER BY window_end ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)",
                "ROW_NUMBER() OVER (PARTITION BY k ORDER BY window_end)",
            ],
            2,
        );
        Query::AlongWindows { of, functions }
    }

    fn window_join(&mut self) -> Query {
        Query::WindowJoin {
            join: self.pick(&[Join::Inner, Join::Left, Join::Right, Join::Full, Join::Semi, Join::Anti]),
            window: self.window(),
            by_key: self.random.random_bool(0.8),
            groups: self.random.random_bool(0.5),
            condition: self.maybe(0.3, &["r.n >= l.n", "r.n <> l.n"]),
        }
    }

    fn over(&mut self) -> Query {
        let functions = (0..self.random.random_range(1..4)).map(|_| self.over_function()).collect();
        Query::Over { relation: self.relation(), by_key: self.random.random_bool(0.7), functions }
    }

    fn over_function(&mut self) -> (&'static str, Frame) {
        const SUMS: [&str; 7] = ["count(*)", "count(v)", "sum(n)", "sum(v)", "min(n)", "max(v)", "avg(n)"];
        match self.random.random_range(0..3) {
            0 => {
                let range = Frame::Range(self.pick(&[0, 1, 1000, 5000, 60_000]), self.pick(&[0, 0, 1, 3000]));
                (self.pick(&SUMS), range)
            }
            1 => {
                let frames = [
                    "",
                    "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
                    "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
                    "ROWS BETWEEN 3 PRECEDING AND 1 PRECEDING",
                    "ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING",
                    "ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING",
                ];
                let nth = ["first_value(n)", "last_value(n)", "nth_value(n, 2)"];
                let function = self.pick(&[&SUMS[..], &nth].concat());
                (function, Frame::Rows(self.pick(&frames)))
            }
            _ => {
                let functions = [
                    "ROW_NUMBER()",
                    "RANK()",
                    "DENSE_RANK()",
                    "LAG(n)",
                    "LAG(v, 2)",
                    "LAG(n, 1, -99)",
                    "LEAD(n)",
                    "LEAD(v, 2)",
                ];
                (self.pick(&functions), Frame::Rows(""))
            }
        }
    }
}
