//! GROUP BY of streams: steps of ROWTIME become tumbling windows, WINDOWED BY STAGGER windows that a row opens, and
//! what else rises with time makes sets that end when it changes.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Spanned, visit_expressions};

use super::calls::arguments;
use super::columns::{Mono, ROWTIME, Value, dotted, quote};
use super::expr::unnested;
use super::functions::{Call, function};
use super::interval::{self, Length};
use super::join::Source;
use super::select::Selects;
use super::statements::fold;
use super::tokens::STAGGER;
use crate::{Position, SqlError};

/// What the rows of a grouped SELECT come from.
#[derive(Debug)]
pub(super) struct Grouped {
    pub(super) from: String,
    /// The ROWTIME of a group.
    pub(super) rowtime: String,
    /// What stands for the keys in the SELECT list.
    pub(super) keys: Vec<(String, Value)>,
    pub(super) group_by: Vec<String>,
}

/// How the groups end.
enum Ending {
    /// With a step of time; a ROWTIME at the end of one belongs to it if `ceil`.
    Step { length: Length, ceil: bool },
    /// With each ROWTIME.
    RowTime,
    /// Some time after the first row of each key.
    Stagger(Length),
    /// When a value changes.
    Change,
}

impl Selects<'_> {
    pub(super) fn group(&mut self, source: &Source, filter: &str, keys: &[Expr]) -> Result<Grouped, SqlError> {
        if source.scope.rowtime.is_none() {
            let error = SqlError::new("GROUP BY over a table that is no stream");
            return Err(error.hint("join the table to a stream"));
        }
        let mut values = Vec::new();
        let mut stagger = None;
        for key in keys {
            if let Expr::Function(call) = unnested(key)
                && call.name.to_string() == STAGGER
            {
                let [Expr::Interval(size)] = arguments(call)?[..] else {
                    let error = SqlError::new("WINDOWED BY STAGGER needs RANGE and an interval");
                    return Err(error.hint("write WINDOWED BY STAGGER (PARTITION BY k RANGE INTERVAL '1' MINUTE)"));
                };
                stagger = Some(interval::read(size)?);
                continue;
            }
            let at = Position::of(key.span());
            values.push(self.value(&source.scope, key).map_err(|error| error.at(at))?);
        }
        let ending = match stagger {
            Some(size) if size.is_positive() => Ending::Stagger(size),
            Some(_) => return Err(SqlError::new("the windows of STAGGER have no length")),
            None => ending(&values).map_err(|error| error.at(keys.first().and_then(|key| Position::of(key.span()))))?,
        };
        Ok(grouped(source, filter, &values, &ending))
    }
}

/// How groups by these keys end.
fn ending(keys: &[Value]) -> Result<Ending, SqlError> {
    let mut steps: Vec<(Length, bool)> = Vec::new();
    for key in keys {
        if let Some(Mono::Step { length, ceil }) = key.mono
            && !steps.contains(&(length, ceil))
        {
            steps.push((length, ceil));
        }
    }
    match steps.as_slice() {
        [(length, ceil)] => return Ok(Ending::Step { length: *length, ceil: *ceil }),
        [] => {}
        _ => {
            let error = SqlError::new("GROUP BY has more than one step of ROWTIME");
            return Err(error.hint("group by one of them; group its results by the other in another SELECT"));
        }
    }
    if keys.iter().any(|key| key.mono == Some(Mono::RowTime)) {
        return Ok(Ending::RowTime);
    }
    if keys.iter().any(|key| matches!(key.mono, Some(Mono::Ascending | Mono::Descending))) {
        return Ok(Ending::Change);
    }
    Err(SqlError::new("GROUP BY on a stream needs a key that rises with ROWTIME, or no group would ever end")
        .hint("add STEP(s.ROWTIME BY INTERVAL '1' MINUTE), FLOOR(s.ROWTIME TO MINUTE) or MONOTONIC(x) to GROUP BY"))
}

fn grouped(source: &Source, filter: &str, keys: &[Value], ending: &Ending) -> Grouped {
    let Source { from, scope, .. } = source;
    let (alias, time) = (quote(&scope.alias), quote(ROWTIME));
    let tumble = |length: Length, offset: &str| {
        format!(
            "TABLE(TUMBLE((SELECT * FROM {from}{filter}), DESCRIPTOR({time}), {}{offset})) AS {alias}",
            length.sql()
        )
    };
    // The keys that the native query gives columns to, so that it can name them.
    let named = || {
        let named = keys.iter().enumerate().filter(|(_, key)| key.mono != Some(Mono::Constant));
        let columns = named.map(|(place, key)| (format!("__key_{}", place + 1), key));
        columns.collect::<Vec<_>>()
    };
    let bound = |name: &str, key: &Value| (key.sql.clone(), Value::time(name, Some(Mono::Ascending)));
    match ending {
        Ending::Step { length, ceil } => {
            // A step that ends with its last millisecond is one that begins a millisecond later.
            let (offset, rowtime, label) = if *ceil {
                (
                    ", INTERVAL '1 milliseconds'",
                    "window_end - INTERVAL '1 milliseconds'",
                    "window_end - INTERVAL '1 milliseconds'",
                )
            } else {
                ("", "window_end", "window_start")
            };
            let is_window = |key: &&Value| matches!(key.mono, Some(Mono::Step { .. }));
            let others = keys.iter().filter(|key| !is_window(key) && key.mono != Some(Mono::Constant));
            Grouped {
                from: tumble(*length, offset),
                rowtime: rowtime.to_owned(),
                keys: keys.iter().filter(is_window).map(|key| bound(label, key)).collect(),
                group_by: bounds().into_iter().chain(others.map(|key| key.sql.clone())).collect(),
            }
        }
        Ending::RowTime => {
            let others = keys.iter().filter(|key| !matches!(key.mono, Some(Mono::RowTime | Mono::Constant)));
            let times = keys.iter().filter(|key| key.mono == Some(Mono::RowTime));
            Grouped {
                from: tumble(Length::Millis(1), ""),
                rowtime: "window_start".to_owned(),
                keys: times.map(|key| bound("window_start", key)).collect(),
                group_by: bounds().into_iter().chain(others.map(|key| key.sql.clone())).collect(),
            }
        }
        Ending::Stagger(size) => {
            let named = named();
            let extra = extra(&named);
            let columns: Vec<String> = named.iter().map(|(name, _)| quote(name)).collect();
            let by = if columns.is_empty() { String::new() } else { format!(", DESCRIPTOR({})", columns.join(", ")) };
            let from = format!(
                "TABLE(STAGGER((SELECT {extra} FROM {from}{filter}), DESCRIPTOR({time}), {}{by})) AS {alias}",
                size.sql()
            );
            replaced(from, bounds(), &scope.alias, &named)
        }
        Ending::Change => {
            let named = named();
            let leads = named.iter().filter(|(_, key)| {
                matches!(key.mono, Some(Mono::Ascending | Mono::Descending | Mono::Step { .. } | Mono::RowTime))
            });
            let leads: Vec<String> = leads.map(|(name, _)| quote(name)).collect();
            let extra = extra(&named);
            let from = format!(
                "TABLE(sets((SELECT {extra} FROM {from}{filter}), DESCRIPTOR({time}), DESCRIPTOR({}))) AS {alias}",
                leads.join(", ")
            );
            replaced(from, vec!["window_end".to_owned()], &scope.alias, &named)
        }
    }
}

/// The keys as further columns.
fn extra(named: &[(String, &Value)]) -> String {
    let items: Vec<String> = named.iter().map(|(name, key)| format!("{} AS {}", key.sql, quote(name))).collect();
    [vec!["*".to_owned()], items].concat().join(", ")
}

fn bounds() -> Vec<String> {
    vec!["window_start".to_owned(), "window_end".to_owned()]
}

/// Groups whose keys are columns of their own.
fn replaced(from: String, mut group_by: Vec<String>, alias: &str, named: &[(String, &Value)]) -> Grouped {
    let columns: Vec<String> = named.iter().map(|(name, _)| dotted(alias, name)).collect();
    group_by.extend(columns.iter().cloned());
    let keys = named.iter().zip(columns).map(|((_, key), sql)| {
        let mono = key.mono.map(|_| Mono::Ascending);
        (key.sql.clone(), Value { sql, mono, ..(*key).clone() })
    });
    Grouped { from, rowtime: "window_end".to_owned(), keys: keys.collect(), group_by }
}

/// Whether an expression has an aggregate without OVER in it.
pub(super) fn is_aggregate(expr: &Expr) -> bool {
    visit_expressions(expr, |part| {
        let found = matches!(part, Expr::Function(call) if call.over.is_none() && {
            let name = call.name.0.last().and_then(|part| part.as_ident()).map(fold).unwrap_or_default();
            matches!(function(&name), Some((Call::Aggregate(_), _)))
        });
        if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .is_break()
}
