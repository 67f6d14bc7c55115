//! The grammar: a query as a value, which renders to both dialects and can be made simpler.
//!
//! Conditions, keys and aggregates are texts that mean the same in both engines; what differs goes through `Render`.
//! Every order is total but for rows that are equal, so that a query has one answer.

use super::expand::Window;
use super::render::{Dialect, Render};

/// What a query reads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Relation {
    Stream(&'static str),
    /// The rows of a stream that pass a condition, before they get windows.
    Filtered(&'static str, &'static str),
    /// UNION ALL of both streams.
    Both,
    /// Pairs of an interval join: what is above it goes on with the time of one side.
    Pairs,
    /// Rows with what OVER found.
    Summed,
    /// The first row of each key.
    Firsts,
}

/// Which columns of its window a query groups by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bounds {
    Both,
    Start,
    End,
    All,
}

/// Aggregates within windows.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    pub(super) relation: Relation,
    pub(super) window: Window,
    pub(super) bounds: Bounds,
    pub(super) filter: Option<&'static str>,
    pub(super) keys: Vec<&'static str>,
    pub(super) aggregates: Vec<&'static str>,
    pub(super) having: Option<&'static str>,
}

/// Joins; a semi join is EXISTS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    Inner,
    Left,
    Right,
    Full,
    Semi,
    Anti,
}

#[derive(Clone, Debug)]
pub(super) enum Query {
    Groups(Groups),
    /// `date_bin(…)` in GROUP BY.
    Binned {
        size: i64,
        keys: Vec<&'static str>,
        aggregates: Vec<&'static str>,
        having: Option<&'static str>,
    },
    /// GROUPING SETS over `k` and `n`.
    Sets {
        of: Groups,
        form: &'static str,
        sets: &'static [&'static [&'static str]],
    },
    /// An aggregate of aggregates, within their windows.
    Nested {
        of: Groups,
    },
    /// The first groups of each window, by `ROW_NUMBER` or by LIMIT.
    TopGroups {
        of: Groups,
        limit: usize,
        by_limit: bool,
    },
    /// The first rows of each window.
    TopRows {
        relation: Relation,
        window: Window,
        by: Vec<&'static str>,
        order: &'static str,
        limit: usize,
    },
    /// Windows of the results of windows.
    Rewindow {
        of: Groups,
        window: Window,
        aggregates: Vec<&'static str>,
    },
    Distinct {
        relation: Relation,
        window: Window,
        columns: Vec<&'static str>,
        filter: Option<&'static str>,
    },
    /// Rows with their windows, and what OVER finds within each.
    Rows {
        relation: Relation,
        window: Window,
        filter: Option<&'static str>,
        functions: Vec<&'static str>,
    },
    /// OVER along the results of windows.
    AlongWindows {
        of: Groups,
        functions: Vec<&'static str>,
    },
    WindowJoin {
        join: Join,
        window: Window,
        by_key: bool,
        groups: bool,
        condition: Option<&'static str>,
    },
    IntervalJoin {
        join: Join,
        by_key: bool,
        before: i64,
        after: i64,
        condition: Option<&'static str>,
    },
    /// OVER along a stream.
    Over {
        relation: Relation,
        by_key: bool,
        /// A function, and its order and frame.
        functions: Vec<(&'static str, Frame)>,
    },
    /// `ROW_NUMBER` over a stream, filtered: first rows, last rows, best rows.
    First {
        relation: Relation,
        by: &'static str,
        order: &'static str,
        limit: usize,
        condition: Option<&'static str>,
    },
    Updating {
        relation: Relation,
        keys: Vec<&'static str>,
        filter: Option<&'static str>,
        aggregates: Vec<&'static str>,
        having: Option<&'static str>,
    },
    Stateless {
        relation: Relation,
        columns: Vec<&'static str>,
        filter: Option<&'static str>,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Frame {
    /// By time and id, with a frame that both engines write alike.
    Rows(&'static str),
    /// By time alone: so long before, so long after.
    Range(i64, i64),
}

impl Groups {
    /// `SELECT bounds, keys, a0, a1 … FROM … GROUP BY …`.
    fn sql(&self, render: &mut Render) -> String {
        let from = self.from(render);
        let keys = self.key_list();
        let aggregates = numbered("a", &self.aggregates);
        format!(
            "SELECT {keys}{aggregates} FROM {from}{} GROUP BY {keys}{}",
            clause("WHERE", self.filter),
            clause("HAVING", self.having)
        )
    }

    fn from(&self, render: &mut Render) -> String {
        let relation = self.relation.sql(render);
        render.windowed(&relation, "ts", self.window)
    }

    fn key_list(&self) -> String {
        self.bounds.columns().iter().chain(&self.keys).copied().collect::<Vec<_>>().join(", ")
    }

    fn simpler(&self) -> Vec<Self> {
        let mut simpler = Vec::new();
        if self.filter.is_some() {
            simpler.push(Self { filter: None, ..self.clone() });
        }
        if self.having.is_some() {
            simpler.push(Self { having: None, ..self.clone() });
        }
        for aggregates in without_one(&self.aggregates) {
            simpler.push(Self { aggregates, ..self.clone() });
        }
        let session_key = matches!(self.window, Window::Session { by_key: true, .. });
        for keys in without_one(&self.keys).into_iter().filter(|keys| !session_key || keys.contains(&"k")) {
            simpler.push(Self { keys, ..self.clone() });
        }
        simpler
    }
}

impl Relation {
    /// Its name.
    fn sql(self, render: &mut Render) -> String {
        match self {
            Self::Stream(name) => name.to_owned(),
            Self::Filtered(name, condition) => {
                render.view(&format!("SELECT id, k, v, n, ts FROM {name} WHERE {condition}"))
            }
            Self::Both => render.view("SELECT id, k, v, n, ts FROM a UNION ALL SELECT id, k, v, n, ts FROM b"),
            Self::Pairs => {
                let (before, after) = (render.interval(2000), render.interval(5000));
                render.view(&format!(
                    "SELECT l.id * 1000 + r.id AS id, l.k AS k, r.v AS v, l.n AS n, l.ts AS ts FROM a l JOIN b r ON l.k = r.k AND r.ts BETWEEN l.ts - {before} AND l.ts + {after}"
                ))
            }
            Self::Summed => {
                let before = render.interval(5000);
                render.view(&format!(
                    "SELECT id, k, v, sum(n) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN {before} PRECEDING AND CURRENT ROW) AS n, ts FROM a"
                ))
            }
            Self::Firsts => render.view(
                "SELECT id, k, v, n, ts FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k, n ORDER BY ts, id) AS place FROM a) WHERE place = 1",
            ),
        }
    }

    fn streams(self) -> &'static [&'static str] {
        match self {
            Self::Stream("a") | Self::Filtered("a", _) | Self::Summed | Self::Firsts => &["a"],
            Self::Stream(_) | Self::Filtered(..) => &["b"],
            Self::Both | Self::Pairs => &["a", "b"],
        }
    }
}

impl Bounds {
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Both => &["window_start", "window_end"],
            Self::Start => &["window_start"],
            Self::End => &["window_end"],
            Self::All => &["window_start", "window_end", "window_time"],
        }
    }
}

impl Query {
    /// The streams it reads.
    pub(super) fn streams(&self) -> &'static [&'static str] {
        match self {
            Self::Groups(of) | Self::Sets { of, .. } | Self::Nested { of } => of.relation.streams(),
            Self::TopGroups { of, .. } | Self::Rewindow { of, .. } | Self::AlongWindows { of, .. } => {
                of.relation.streams()
            }
            Self::Binned { .. } => &["a"],
            Self::WindowJoin { .. } | Self::IntervalJoin { .. } => &["a", "b"],
            Self::TopRows { relation, .. }
            | Self::Distinct { relation, .. }
            | Self::Rows { relation, .. }
            | Self::Over { relation, .. }
            | Self::First { relation, .. }
            | Self::Updating { relation, .. }
            | Self::Stateless { relation, .. } => relation.streams(),
        }
    }

    /// Whether `SQLite` has all that it asks for: it lacks aggregates with ORDER BY, medians and bits of several rows.
    pub(super) fn is_portable(&self) -> bool {
        let aggregates = match self {
            Self::Groups(of) => &of.aggregates,
            Self::Binned { aggregates, .. } | Self::Updating { aggregates, .. } => aggregates,
            _ => return true,
        };
        !aggregates.iter().any(|aggregate| super::grammar::DATAFUSION_ONLY.contains(aggregate))
    }

    pub(super) fn sql(&self, render: &mut Render) -> String {
        match self {
            Self::Groups(of) => of.sql(render),
            Self::Binned { size, keys, aggregates, having } => {
                let aggregates = numbered("a", aggregates);
                let having = clause("HAVING", *having);
                let keys = listed(keys);
                match render.dialect() {
                    Dialect::Millstream => {
                        let bin = format!("date_bin({}, ts)", render.interval(*size));
                        format!("SELECT {bin} AS bin{keys}{aggregates} FROM a GROUP BY bin{keys}{having}")
                    }
                    Dialect::Sqlite => {
                        let from = render.windowed("a", "ts", Window::Tumble { size: *size, offset: 0 });
                        format!(
                            "SELECT window_start AS bin{keys}{aggregates} FROM {from} GROUP BY window_start{keys}{having}"
                        )
                    }
                }
            }
            Self::Sets { of, form, sets } => grouping_sets(of, form, sets, render),
            Self::Nested { of } => {
                let inner = of.sql(render);
                let bounds = of.bounds.columns().join(", ");
                format!(
                    "SELECT {bounds}, max(a0) AS most, count(*) AS groups, sum(a0) AS s FROM ({inner}) GROUP BY {bounds}"
                )
            }
            Self::TopGroups { of, limit, by_limit } => {
                let inner = of.sql(render);
                let bounds = of.bounds.columns().join(", ");
                let keys: String = of.keys.iter().flat_map(|key| [", ", key, " NULLS LAST"]).collect();
                if *by_limit && render.dialect() == Dialect::Millstream {
                    return format!("{inner} ORDER BY a0 DESC NULLS LAST{keys} LIMIT {limit}");
                }
                let columns =
                    (0..of.aggregates.len()).fold(of.key_list(), |list, number| list + &format!(", a{number}"));
                let place = if *by_limit { "" } else { ", place" };
                format!(
                    "SELECT {columns}{place} FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY {bounds} ORDER BY a0 DESC NULLS LAST{keys}) AS place FROM ({inner})) WHERE place <= {limit}"
                )
            }
            Self::TopRows { relation, window, by, order, limit } => {
                let relation = relation.sql(render);
                let from = render.windowed(&relation, "ts", *window);
                let by = ["window_start", "window_end"].iter().chain(by).copied().collect::<Vec<_>>().join(", ");
                format!(
                    "SELECT window_start, window_end, id, k, v, n, ts, place FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY {by} ORDER BY {order}) AS place FROM {from}) WHERE place <= {limit}"
                )
            }
            Self::Rewindow { of, window, aggregates } => {
                let inner = Groups { bounds: Bounds::All, ..of.clone() };
                let inner = inner.sql(render);
                let keys = listed(&of.keys);
                let inner = render.view(&format!("SELECT window_time AS closed{keys}, a0 FROM ({inner})"));
                let from = render.windowed(&inner, "closed", *window);
                let aggregates = numbered("a", aggregates);
                format!(
                    "SELECT window_start, window_end{keys}{aggregates} FROM {from} GROUP BY window_start, window_end{keys}"
                )
            }
            Self::Distinct { relation, window, columns, filter } => {
                let relation = relation.sql(render);
                let from = render.windowed(&relation, "ts", *window);
                let columns = listed(columns);
                format!("SELECT DISTINCT window_start, window_end{columns} FROM {from}{}", clause("WHERE", *filter))
            }
            Self::Rows { relation, window, filter, functions } => {
                let relation = relation.sql(render);
                let from = render.windowed(&relation, "ts", *window);
                let functions = numbered("f", functions);
                format!(
                    "SELECT id, k, v, n * 2 AS m, ts, window_start, window_end, window_time{functions} FROM {from}{}",
                    clause("WHERE", *filter)
                )
            }
            Self::AlongWindows { of, functions } => {
                let inner = of.sql(render);
                let functions = numbered("f", functions);
                format!("SELECT window_end, k, a0{functions} FROM ({inner})")
            }
            Self::WindowJoin { join, window, by_key, groups, condition } => {
                let mut side = |stream: &str| {
                    let from = render.windowed(stream, "ts", *window);
                    if *groups {
                        format!(
                            "(SELECT window_start, window_end, k, count(*) AS id, sum(n) AS n FROM {from} GROUP BY window_start, window_end, k)"
                        )
                    } else {
                        format!("(SELECT * FROM {from})")
                    }
                };
                let (left, right) = (side("a"), side("b"));
                let by_key = if *by_key { "l.k = r.k AND " } else { "" };
                let on = format!(
                    "{by_key}l.window_start = r.window_start AND l.window_end = r.window_end{}",
                    clause("AND", *condition)
                );
                join.sql("window_start, window_end", &left, &right, &on)
            }
            Self::IntervalJoin { join, by_key, before, after, condition } => {
                let by_key = if *by_key { "l.k = r.k AND " } else { "" };
                let on = format!(
                    "{by_key}r.ts BETWEEN l.ts - {} AND l.ts + {}{}",
                    render.interval(*before),
                    render.interval(*after),
                    clause("AND", *condition)
                );
                join.sql("ts", "a", "b", &on)
            }
            Self::Over { relation, by_key, functions } => {
                let relation = relation.sql(render);
                let by_key = if *by_key { "PARTITION BY k " } else { "" };
                let mut columns = String::new();
                for (number, (function, frame)) in functions.iter().enumerate() {
                    let frame = match frame {
                        Frame::Rows(frame) => format!("ORDER BY ts, id {frame}"),
                        Frame::Range(before, after) => {
                            let after = match after {
                                0 => "CURRENT ROW".to_owned(),
                                after => render.interval(*after) + " FOLLOWING",
                            };
                            format!("ORDER BY ts RANGE BETWEEN {} PRECEDING AND {after}", render.interval(*before))
                        }
                    };
                    let name = format!("f{number}");
                    columns.extend([", ", function, " OVER (", by_key, &frame, ") AS ", &name]);
                }
                format!("SELECT id, k, ts, n{columns} FROM {relation}")
            }
            Self::First { relation, by, order, limit, condition } => {
                let relation = relation.sql(render);
                // Of several rows each is found by its place.
                let place = if *limit > 1 { ", place" } else { "" };
                format!(
                    "SELECT id, k, v, n, ts{place} FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY {by} ORDER BY {order}) AS place FROM {relation}) WHERE place <= {limit}{}",
                    clause("AND", *condition)
                )
            }
            Self::Updating { relation, keys, filter, aggregates, having } => {
                let relation = relation.sql(render);
                let keys = keys.join(", ");
                let aggregates = numbered("a", aggregates);
                format!(
                    "SELECT {keys}{aggregates} FROM {relation}{} GROUP BY {keys}{}",
                    clause("WHERE", *filter),
                    clause("HAVING", *having)
                )
            }
            Self::Stateless { relation, columns, filter } => {
                let relation = relation.sql(render);
                format!("SELECT id, ts{} FROM {relation}{}", numbered("c", columns), clause("WHERE", *filter))
            }
        }
    }

    /// The same with one thing less, in every way there is.
    pub(super) fn simpler(&self) -> Vec<Self> {
        let mut simpler = Vec::new();
        match self {
            Self::Groups(of) => simpler.extend(of.simpler().into_iter().map(Self::Groups)),
            Self::Nested { of } => simpler.extend(of.simpler().into_iter().map(|of| Self::Nested { of })),
            Self::Sets { of, form, sets } => {
                simpler.extend(of.simpler().into_iter().map(|of| Self::Sets { of, form, sets }));
            }
            Self::TopGroups { of, limit, by_limit } => {
                let top = |of| Self::TopGroups { of, limit: *limit, by_limit: *by_limit };
                simpler.extend(of.simpler().into_iter().map(top));
            }
            Self::Rewindow { of, window, aggregates } => {
                let with = |of, aggregates| Self::Rewindow { of, window: *window, aggregates };
                simpler.extend(of.simpler().into_iter().map(|of| with(of, aggregates.clone())));
                simpler.extend(without_one(aggregates).into_iter().map(|fewer| with(of.clone(), fewer)));
            }
            Self::AlongWindows { of, functions } => {
                let with = |functions| Self::AlongWindows { of: of.clone(), functions };
                simpler.extend(without_one(functions).into_iter().map(with));
            }
            _ => {}
        }
        let mut fewer = self.clone();
        if fewer.clear_conditions() {
            simpler.push(fewer);
        }
        match self {
            Self::Over { relation, by_key, functions } => {
                let with = |functions| Self::Over { relation: *relation, by_key: *by_key, functions };
                simpler.extend(without_one(functions).into_iter().map(with));
            }
            Self::Binned { .. } | Self::Updating { .. } | Self::Stateless { .. } | Self::Rows { .. } => {
                let lists = self.list().map(|list| without_one(list)).unwrap_or_default();
                simpler.extend(lists.into_iter().map(|list| {
                    let mut fewer = self.clone();
                    if let Some(old) = fewer.list_mut() {
                        *old = list;
                    }
                    fewer
                }));
            }
            _ => {}
        }
        simpler
    }

    /// Takes conditions away; answers whether there were any.
    fn clear_conditions(&mut self) -> bool {
        match self {
            Self::Binned { having: condition, .. }
            | Self::Distinct { filter: condition, .. }
            | Self::Rows { filter: condition, .. }
            | Self::WindowJoin { condition, .. }
            | Self::IntervalJoin { condition, .. }
            | Self::First { condition, .. }
            | Self::Stateless { filter: condition, .. } => condition.take().is_some(),
            Self::Updating { filter, having, .. } => filter.take().is_some() | having.take().is_some(),
            _ => false,
        }
    }

    fn list(&self) -> Option<&Vec<&'static str>> {
        match self {
            Self::Binned { aggregates: list, .. }
            | Self::Updating { aggregates: list, .. }
            | Self::Stateless { columns: list, .. }
            | Self::Rows { functions: list, .. } => Some(list),
            _ => None,
        }
    }

    fn list_mut(&mut self) -> Option<&mut Vec<&'static str>> {
        match self {
            Self::Binned { aggregates: list, .. }
            | Self::Updating { aggregates: list, .. }
            | Self::Stateless { columns: list, .. }
            | Self::Rows { functions: list, .. } => Some(list),
            _ => None,
        }
    }
}

impl Join {
    fn sql(self, times: &str, left: &str, right: &str, on: &str) -> String {
        let of = |side: &str| -> String {
            let columns = times.split(", ").chain(["id", "k", "n"]);
            columns.map(|column| format!("{side}.{column} AS {side}_{column}")).collect::<Vec<_>>().join(", ")
        };
        let joined = |word| format!("SELECT {}, {} FROM {left} l {word} JOIN {right} r ON {on}", of("l"), of("r"));
        match self {
            Self::Inner => joined("INNER"),
            Self::Left => joined("LEFT"),
            Self::Right => joined("RIGHT"),
            Self::Full => joined("FULL"),
            Self::Semi => format!("SELECT {} FROM {left} l WHERE EXISTS (SELECT 1 FROM {right} r WHERE {on})", of("l")),
            Self::Anti => {
                format!("SELECT {} FROM {left} l WHERE NOT EXISTS (SELECT 1 FROM {right} r WHERE {on})", of("l"))
            }
        }
    }
}

/// `SQLite` has no GROUPING SETS: there they are one query each.
fn grouping_sets(of: &Groups, form: &str, sets: &[&[&str]], render: &mut Render) -> String {
    let from = of.from(render);
    let (filter, having) = (clause("WHERE", of.filter), clause("HAVING", of.having));
    let aggregates = numbered("a", &of.aggregates);
    if render.dialect() == Dialect::Millstream {
        return format!(
            "SELECT window_start, window_end, k, n, GROUPING(k) AS gk, GROUPING(n) AS gn{aggregates} FROM {from}{filter} GROUP BY window_start, window_end, {form}{having}"
        );
    }
    let queries = sets.iter().map(|set| {
        let keys = listed(set);
        let column = |key| if set.contains(&key) { (key, 0) } else { ("NULL", 1) };
        let ((k, gk), (n, gn)) = (column("k"), column("n"));
        format!(
            "SELECT window_start, window_end, {k} AS k, {n} AS n, {gk} AS gk, {gn} AS gn{aggregates} FROM {from}{filter} GROUP BY window_start, window_end{keys}{having}"
        )
    });
    queries.collect::<Vec<_>>().join(" UNION ALL ")
}

fn clause(word: &str, condition: Option<&str>) -> String {
    condition.map_or_else(String::new, |condition| format!(" {word} {condition}"))
}

/// `, first AS a0, second AS a1`.
fn numbered(prefix: &str, exprs: &[&str]) -> String {
    let numbered = |list: String, (number, expr)| list + &format!(", {expr} AS {prefix}{number}");
    exprs.iter().enumerate().fold(String::new(), numbered)
}

/// `, a, b`.
fn listed(columns: &[&str]) -> String {
    columns.iter().flat_map(|column| [", ", column]).collect()
}

/// A list without one of its items, each in turn; one stays.
fn without_one<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    if items.len() < 2 {
        return Vec::new();
    }
    let without = |index: usize| items.iter().enumerate().filter(move |(at, _)| *at != index);
    (0..items.len()).map(|index| without(index).map(|(_, item)| item.clone()).collect()).collect()
}
