//! Whether a query can run on streams, bottom-up over the analyzed plan: what each part yields, and which columns still
//! carry event time or a window. What cannot run is refused here, with its code, its place and what to do.

mod aggregate;
mod in_order;
mod join;
mod over;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Cast, Distinct, Expr, LogicalPlan, TableScan, Union};
use millstream_core::WindowSpec;

use self::in_order::of_sets;
use super::locate::Clauses;
use super::over::TopRows;
use crate::catalog::Relation;
use crate::in_order::InOrder;
use crate::pipeline::WindowBound;
use crate::session::{relation_of, table_of};
use crate::window::WindowAssign;
use crate::{Code, SqlError};

/// What a part of a plan yields, seen from the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Rows of finite input: VALUES, or a SELECT without FROM.
    Bounded,
    /// Rows as they come. `assigned`: a window function has given them windows.
    Stream { assigned: Option<WindowSpec>, has_watermark: bool },
    /// One set of rows per window, when the window closes.
    Windowed(WindowSpec),
    /// One row per key, changing.
    Updating,
    /// Rows that are given set by set, to be grouped by this many keys and by a bound of their set.
    Sets { keys: usize },
}

/// Where a column comes from, as far as time is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The time attribute itself.
    Time,
    /// Something computed from the time attribute.
    LostTime,
    /// A bound of the row's window.
    Window(WindowBound),
    /// The key of its session, or of its set, with this index.
    SessionKey(usize),
    Other,
}

/// What is known of a part of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) shape: Shape,
    /// One for each column of the part.
    pub(crate) origins: Vec<Origin>,
    /// Whether an expression so far asked for the current time to choose rows.
    clock: bool,
}

/// What the target of a query allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    /// Whether changed rows can be taken back: live tables can, append-only sinks cannot.
    pub(crate) updates: bool,
    /// Whether a time-to-live bounds the keys.
    pub(crate) ttl: bool,
}

/// Checks a whole plan.
pub(crate) fn check(plan: &LogicalPlan, clauses: &Clauses, allowed: Allowed) -> Result<Checked, SqlError> {
    Checker { clauses, allowed }.check(plan)
}

struct Checker<'a> {
    clauses: &'a Clauses,
    allowed: Allowed,
}

impl Checker<'_> {
    fn check(&self, plan: &LogicalPlan) -> Result<Checked, SqlError> {
        refuse_subqueries(plan)?;
        match plan {
            LogicalPlan::TableScan(scan) => check_scan(scan),
            LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => Ok(Checked {
                shape: Shape::Bounded,
                origins: vec![Origin::Other; plan.schema().fields().len()],
                clock: false,
            }),
            LogicalPlan::Projection(projection) => {
                let input = self.check(&projection.input)?;
                let origins = projection.expr.iter().map(|e| origin(e, projection.input.schema(), &input)).collect();
                Ok(Checked { origins, ..input })
            }
            LogicalPlan::Filter(filter) => {
                if let Some(top) = TopRows::of(filter)
                    && let Some(checked) = self.check_top(&top, filter.input.schema().fields().len())?
                {
                    return Ok(checked);
                }
                let input = self.check(&filter.input)?;
                let clock = input.clock || asks_for_now(&filter.predicate);
                match input.shape {
                    Shape::Windowed(_) if clock => Err(self.clock_decides()),
                    _ => Ok(Checked { clock, ..input }),
                }
            }
            LogicalPlan::SubqueryAlias(alias) => self.check(&alias.input),
            LogicalPlan::Subquery(subquery) => self.check(&subquery.subquery),
            LogicalPlan::Extension(extension) => {
                let node = extension.node.as_any();
                match (node.downcast_ref::<WindowAssign>(), node.downcast_ref::<InOrder>()) {
                    (Some(assign), _) => self.check_assign(assign),
                    (_, Some(in_order)) => self.check_in_order(in_order),
                    _ => Err(unsupported(plan)),
                }
            }
            LogicalPlan::Aggregate(aggregate) => self.check_aggregate(aggregate),
            LogicalPlan::Distinct(distinct) => self.check_distinct(distinct),
            LogicalPlan::Sort(sort) => {
                let input = self.check(&sort.input)?;
                Self::refuse_unwindowed(&input, "ORDER BY", self.clauses.order_by())?;
                Ok(input)
            }
            LogicalPlan::Limit(limit) => {
                let input = self.check(&limit.input)?;
                Self::refuse_unwindowed(&input, "LIMIT", self.clauses.limit())?;
                Ok(input)
            }
            LogicalPlan::Join(join) => self.check_join(join),
            LogicalPlan::Window(window) => self.check_over(window),
            LogicalPlan::Union(union) => self.check_union(union),
            _ => Err(unsupported(plan)),
        }
    }

    fn refuse_unwindowed(input: &Checked, clause: &str, at: Option<crate::Position>) -> Result<(), SqlError> {
        match input.shape {
            Shape::Windowed(_) | Shape::Bounded => Ok(()),
            Shape::Stream { .. } | Shape::Updating | Shape::Sets { .. } => Err(SqlError::coded(
                Code::E07,
                format!("{clause} needs all rows, and a stream has no last one"),
                format!(
                    "group by a window, then {clause} applies within each; or SELECT … {clause} from the live table"
                ),
            )
            .at(at)),
        }
    }

    fn check_assign(&self, assign: &WindowAssign) -> Result<Checked, SqlError> {
        let input = self.check(&assign.input)?;
        let at = self.clauses.window();
        let found = origin(&assign.time, assign.input.schema(), &input);
        let has_watermark = match &input.shape {
            Shape::Bounded => {
                let hint = "read a table with a WATERMARK in it";
                return Err(SqlError::coded(Code::E13, "a window function needs a stream", hint).at(at));
            }
            Shape::Updating => return Err(Self::over_updating("a window", at)),
            Shape::Stream { assigned: None, has_watermark } => {
                Self::require_time(found, &assign.time, &input, at)?;
                *has_watermark
            }
            // The results of windows are a stream in the order of their ends.
            Shape::Windowed(_) if found == Origin::Window(WindowBound::Time) => true,
            Shape::Windowed(_) => {
                let message = format!("{} is not the time of the inner windows' results", assign.time);
                return Err(SqlError::coded(Code::E03, message, "use window_time of the inner windows").at(at));
            }
            Shape::Stream { .. } | Shape::Sets { .. } => {
                let hint = "aggregate the inner windows first; their window_time can have windows again";
                return Err(SqlError::coded(Code::E13, "the rows have windows already", hint).at(at));
            }
        };
        let mut origins = input.origins;
        for found in &mut origins {
            if matches!(found, Origin::Window(_) | Origin::SessionKey(_)) {
                *found = Origin::Other;
            }
        }
        for (index, key) in assign.partition_by.iter().enumerate() {
            if let Expr::Column(column) = key
                && let Some(column) = assign.input.schema().maybe_index_of_column(column)
            {
                origins[column] = Origin::SessionKey(index);
            } else {
                let hint = "compute it under a name in a subquery, and partition by that";
                return Err(SqlError::coded(Code::E13, format!("PARTITION BY takes columns, not {key}"), hint).at(at));
            }
        }
        origins.extend([WindowBound::Start, WindowBound::End, WindowBound::Time].map(Origin::Window));
        Ok(Checked { shape: Shape::Stream { assigned: Some(assign.spec), has_watermark }, origins, clock: input.clock })
    }

    /// Windows need event time: E11 where no watermark was declared, E03 where the column is not the time attribute.
    fn require_time(found: Origin, time: &Expr, input: &Checked, at: Option<crate::Position>) -> Result<(), SqlError> {
        let has_watermark = matches!(input.shape, Shape::Stream { has_watermark: true, .. });
        match found {
            Origin::Time => Ok(()),
            _ if !has_watermark => Err(SqlError::coded(
                Code::E11,
                format!("windows over {time} need a watermark, and its table declares none"),
                "add WATERMARK FOR column AS column - INTERVAL '5' SECOND to CREATE TABLE",
            )
            .at(at)),
            Origin::LostTime => Err(SqlError::coded(
                Code::E03,
                format!("{time} is computed from the time attribute and no longer is it"),
                "use the bare column here; compute other forms of it beside it, under another name",
            )
            .at(at)),
            _ => Err(SqlError::coded(
                Code::E03,
                format!("{time} is not the time attribute of its table"),
                "use the column named in WATERMARK FOR",
            )
            .at(at)),
        }
    }

    fn clock_decides(&self) -> SqlError {
        SqlError::coded(
            Code::E10,
            "the current time decides which rows a window gets, so no two runs would agree",
            "compare with the event's own time, or leave the condition out: windows end by themselves",
        )
        .at(self.clauses.clock())
    }

    fn over_updating(what: &str, at: Option<crate::Position>) -> SqlError {
        SqlError::coded(
            Code::E08,
            format!("{what} over rows that are updated would count old and new ones"),
            "group the inner query by a window, or aggregate the stream directly",
        )
        .at(at)
    }

    fn check_distinct(&self, distinct: &Distinct) -> Result<Checked, SqlError> {
        let input = match distinct {
            Distinct::All(input) => self.check(input)?,
            Distinct::On(on) => {
                let input = self.check(&on.input)?;
                if matches!(input.shape, Shape::Bounded) {
                    return Ok(input);
                }
                return Err(SqlError::coded(
                    Code::E02,
                    "DISTINCT ON over a stream has no last row",
                    "use first_value(… ORDER BY …) in a GROUP BY with a window",
                )
                .at(self.clauses.distinct()));
            }
        };
        let has_window = input.origins.iter().any(|origin| matches!(origin, Origin::Window(_)));
        match input.shape {
            Shape::Bounded | Shape::Windowed(_) => Ok(input),
            Shape::Stream { assigned: Some(spec), .. } if has_window => {
                Ok(Checked { shape: Shape::Windowed(spec), ..input })
            }
            Shape::Sets { keys } => {
                let is_grouped = |of: &dyn Fn(&Origin) -> bool| input.origins.iter().any(of);
                Self::check_sets(keys, &is_grouped, self.clauses.distinct())?;
                Ok(of_sets(input))
            }
            Shape::Stream { .. } => Err(SqlError::coded(
                Code::E02,
                "DISTINCT without a window would keep every row for ever",
                "select from TABLE(TUMBLE(…)) with window_start in the list, or GROUP BY in a materialized view; instead of \
                 UNION write UNION ALL",
            )
            .at(self.clauses.distinct())),
            Shape::Updating => Err(Self::over_updating("DISTINCT", self.clauses.distinct())),
        }
    }

    fn check_union(&self, union: &Union) -> Result<Checked, SqlError> {
        let mut inputs = union.inputs.iter().map(|input| self.check(input)).collect::<Result<Vec<_>, _>>()?;
        let Some(first) = inputs.pop() else { return Err(SqlError::new("UNION ALL of nothing")) };
        let (mut shape, mut origins, mut clock) = (first.shape.clone(), first.origins.clone(), first.clock);
        for other in inputs {
            shape = match (shape, other.shape) {
                (Shape::Stream { assigned: a, has_watermark: w }, Shape::Stream { assigned: b, has_watermark: v }) => {
                    Shape::Stream { assigned: if a == b { a } else { None }, has_watermark: w && v }
                }
                (Shape::Windowed(a), Shape::Windowed(b)) if a == b => Shape::Windowed(a),
                (Shape::Bounded, Shape::Bounded) => Shape::Bounded,
                _ => {
                    return Err(SqlError::coded(
                        Code::E13,
                        "the parts of a UNION ALL are not all streams, and have not all the same window",
                        "group all parts by the same window; or write one INSERT INTO for each part",
                    ));
                }
            };
            for (mine, theirs) in origins.iter_mut().zip(other.origins) {
                if *mine != theirs {
                    *mine = Origin::Other;
                }
            }
            clock |= other.clock;
        }
        Ok(Checked { shape, origins, clock })
    }
}

fn check_scan(scan: &TableScan) -> Result<Checked, SqlError> {
    match relation_of(scan.source.as_ref()) {
        Some(Relation::System(table)) => {
            let message = format!("`{}` cannot be read continuously", table.name);
            return Err(SqlError::coded(Code::E13, message, "SELECT from it answers what it holds now"));
        }
        Some(Relation::MaterializedView(view)) => {
            let message = format!("`{}` FOR SYSTEM_TIME AS OF can only be joined to a stream", view.name);
            return Err(SqlError::coded(Code::E13, message, "leave FOR SYSTEM_TIME out to read what feeds it"));
        }
        _ => {}
    }
    let table = table_of(scan.source.as_ref())?;
    if table.roles.source.is_none() && table.roles.lookup {
        let message = format!("`{}` is read whole, and can only be joined to a stream", table.decl.name);
        return Err(SqlError::coded(Code::E13, message, "write FROM stream JOIN table ON …"));
    }
    if table.roles.source.is_none() {
        return Err(SqlError::new(format!("`{}` can only be written", table.decl.name))
            .hint("its connector is a sink; read the table that feeds it"));
    }
    let time = table.time.map(|time| time.column);
    let of = |index: usize| if Some(index) == time { Origin::Time } else { Origin::Other };
    let origins = match &scan.projection {
        Some(columns) => columns.iter().map(|column| of(*column)).collect(),
        None => (0..table.columns.len()).map(of).collect(),
    };
    Ok(Checked { shape: Shape::Stream { assigned: None, has_watermark: time.is_some() }, origins, clock: false })
}

/// Whether a bound of a window is still one in this type.
fn keeps_millis(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(unit, None) if *unit != TimeUnit::Second)
}

/// Only bare references and aliases keep what a column is.
pub(crate) fn origin(expr: &Expr, schema: &DFSchema, input: &Checked) -> Origin {
    match expr {
        Expr::Alias(alias) => origin(&alias.expr, schema, input),
        Expr::Column(column) => column_origin(column, schema, input),
        Expr::Cast(Cast { expr, field })
            if matches!(origin(expr, schema, input), Origin::Window(_)) && keeps_millis(field.data_type()) =>
        {
            origin(expr, schema, input)
        }
        _ => {
            let lost = expr
                .column_refs()
                .into_iter()
                .any(|column| matches!(column_origin(column, schema, input), Origin::Time | Origin::LostTime));
            if lost { Origin::LostTime } else { Origin::Other }
        }
    }
}

fn column_origin(column: &Column, schema: &DFSchema, input: &Checked) -> Origin {
    let index = schema.maybe_index_of_column(column);
    index.and_then(|index| input.origins.get(index)).copied().unwrap_or(Origin::Other)
}

fn asks_for_now(expr: &Expr) -> bool {
    let mut found = false;
    let walked = expr.apply(|part| {
        found |= matches!(part, Expr::ScalarFunction(function) if super::is_clock_function(function.name()));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.is_ok() && found
}

fn refuse_subqueries(plan: &LogicalPlan) -> Result<(), SqlError> {
    for expr in plan.expressions() {
        let found = expr.exists(|part| {
            Ok(matches!(part, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_)))
        })?;
        if found {
            let message =
                "subqueries in expressions are not available on streams, but for EXISTS and IN as conditions of WHERE";
            return Err(SqlError::coded(Code::E13, message, "write the subquery as a table in FROM and join it"));
        }
    }
    Ok(())
}

fn unsupported(plan: &LogicalPlan) -> SqlError {
    let what = match plan {
        LogicalPlan::Unnest(_) => "unnest".to_owned(),
        other => other.display().to_string(),
    };
    let message = format!("this cannot run on a stream: {what}");
    SqlError::coded(Code::E13, message, "docs/sql.md lists what can; SELECT from a live table can do everything")
}
