//! Whether a query can run on streams, bottom-up over the analyzed plan: what each part yields, and which columns still
//! carry event time or a window. What cannot run is refused here, with its code, its place and what to do.

mod join;
mod over;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Cast, Distinct, Expr, ExprSchemable, LogicalPlan, TableScan, Union};
use millstream_core::WindowSpec;

use super::locate::Clauses;
use super::over::TopRows;
use super::sets::grouping_sets;
use super::tumble::{TimeFunction, time_function};
use crate::catalog::Relation;
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
    /// The key of its session with this index.
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

/// Whether every grouping set has a key of such an origin.
type InEverySet<'a> = dyn Fn(&dyn Fn(&Origin) -> bool) -> bool + 'a;

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
            LogicalPlan::Extension(extension) => match extension.node.as_any().downcast_ref::<WindowAssign>() {
                Some(assign) => self.check_assign(assign),
                None => Err(unsupported(plan)),
            },
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
            Shape::Stream { .. } | Shape::Updating => Err(SqlError::coded(
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
            Shape::Bounded => return Err(SqlError::new("a window function needs a stream").at(at)),
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
            Shape::Stream { .. } => {
                return Err(SqlError::new("the rows have windows already")
                    .at(at)
                    .hint("aggregate the inner windows first; their window_time can have windows again"));
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
                return Err(SqlError::new(format!("PARTITION BY takes columns, not {key}")).at(at));
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

    fn check_aggregate(&self, aggregate: &Aggregate) -> Result<Checked, SqlError> {
        let input = self.check(&aggregate.input)?;
        let schema = aggregate.input.schema();
        let at = self.clauses.group_by(&aggregate.group_expr);
        let keys: Vec<Expr> = grouping_set_to_exprlist(&aggregate.group_expr)?.into_iter().cloned().collect();
        let clock = input.clock || keys.iter().any(asks_for_now);
        let mut origins: Vec<Origin> = keys.iter().map(|key| origin(key, schema, &input)).collect();
        let mut window: Option<WindowSpec> = None;
        for (key, found) in keys.iter().zip(&mut origins) {
            let Some(function) = time_function(key) else { continue };
            let (function, column) = function.map_err(|error| error.at(at))?;
            let source = origin(column, schema, &input);
            let is_time = match &input.shape {
                // Rows with windows have their windows; a function of time is a key like others.
                Shape::Stream { assigned: Some(_), .. } => continue,
                Shape::Stream { .. } => source == Origin::Time,
                Shape::Windowed(_) => source == Origin::Window(WindowBound::Time),
                _ => false,
            };
            match &input.shape {
                _ if is_time => {
                    let TimeFunction { spec } = function;
                    window = Some(match window {
                        Some(finest) if finest.approximate_size() <= spec.approximate_size() => finest,
                        _ => spec,
                    });
                    *found = Origin::Window(WindowBound::Start);
                }
                Shape::Stream { .. } if source == Origin::LostTime => Self::require_time(source, column, &input, at)?,
                // With a time-to-live it may be meant as an ordinary key.
                Shape::Stream { has_watermark: false, .. } if !self.allowed.ttl => {
                    Self::require_time(source, column, &input, at)?;
                }
                _ => {}
            }
        }
        let in_every_set = |of: &dyn Fn(&Origin) -> bool| {
            let of_column = |expr: &Expr| keys.iter().position(|key| key == expr).is_some_and(|key| of(&origins[key]));
            match aggregate.group_expr.as_slice() {
                [Expr::GroupingSet(sets)] => grouping_sets(sets).iter().all(|set| set.iter().any(of_column)),
                _ => origins.iter().any(of),
            }
        };
        let keyed_by_window = in_every_set(&|origin| matches!(origin, Origin::Window(_)));
        let shape = match &input.shape {
            Shape::Bounded => Shape::Bounded,
            Shape::Updating => return Err(Self::over_updating("an aggregate", at)),
            Shape::Windowed(spec) if keyed_by_window => {
                let spec = window.unwrap_or(*spec);
                Self::check_bounds(spec, &in_every_set, at)?;
                Shape::Windowed(spec)
            }
            Shape::Windowed(_) => {
                return Err(SqlError::coded(
                    Code::E01,
                    "this aggregate runs over all windows, which never end",
                    "add window_start or window_end to its GROUP BY",
                )
                .at(at));
            }
            Shape::Stream { assigned: Some(spec), .. } if keyed_by_window => {
                Self::check_bounds(*spec, &in_every_set, at)?;
                self.check_session_keys(*spec, &input, &in_every_set, at)?;
                Shape::Windowed(*spec)
            }
            Shape::Stream { assigned: Some(_), .. } => {
                return Err(SqlError::coded(
                    Code::E04,
                    "the rows have windows, but the GROUP BY has no window column",
                    "add window_start, window_end to GROUP BY",
                )
                .at(at));
            }
            Shape::Stream { assigned: None, has_watermark } => match window {
                Some(spec) if keyed_by_window => Shape::Windowed(spec),
                Some(_) => {
                    return Err(SqlError::coded(
                        Code::E04,
                        "one of the GROUPING SETS has no window",
                        "put the window into every set: GROUP BY window_start, GROUPING SETS ((a), (b))",
                    )
                    .at(at));
                }
                None if matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]) => {
                    return Err(SqlError::coded(
                        Code::E01,
                        "GROUPING SETS, CUBE and ROLLUP need a window on a stream",
                        "group by a window too: GROUP BY window_start, window_end, ROLLUP (a, b)",
                    )
                    .at(at));
                }
                None => {
                    self.check_updating(aggregate, &origins, *has_watermark, at)?;
                    Shape::Updating
                }
            },
        };
        if clock && matches!(shape, Shape::Windowed(_)) {
            return Err(self.clock_decides());
        }
        for found in &mut origins {
            if matches!(found, Origin::Time) {
                *found = Origin::LostTime;
            }
        }
        origins.resize(aggregate.schema.fields().len(), Origin::Other);
        Ok(Checked { shape, origins, clock: false })
    }

    /// Windows that start together close one after another: an aggregate over all of them would have no one moment.
    fn check_bounds(
        spec: WindowSpec,
        is_grouped: &InEverySet<'_>,
        at: Option<crate::Position>,
    ) -> Result<(), SqlError> {
        let by_end = |found: &Origin| matches!(found, Origin::Window(WindowBound::End | WindowBound::Time));
        if matches!(spec, WindowSpec::Cumulate { .. }) && !is_grouped(&by_end) {
            let message = "windows of CUMULATE start together and end one after another";
            return Err(SqlError::coded(Code::E04, message, "add window_end to GROUP BY").at(at));
        }
        Ok(())
    }

    /// The keys of a session are part of what it is: without them in GROUP BY, sessions of different keys would mix.
    fn check_session_keys(
        &self,
        spec: WindowSpec,
        input: &Checked,
        is_grouped: &InEverySet<'_>,
        at: Option<crate::Position>,
    ) -> Result<(), SqlError> {
        if !matches!(spec, WindowSpec::Session { .. }) {
            return Ok(());
        }
        let keys = input.origins.iter().filter_map(|origin| match origin {
            Origin::SessionKey(key) => Some(*key),
            _ => None,
        });
        for key in keys {
            if !is_grouped(&|origin| *origin == Origin::SessionKey(key)) {
                let error = SqlError::coded(
                    Code::E04,
                    "a PARTITION BY column of the SESSION is missing from GROUP BY",
                    "group by window_start, window_end and every PARTITION BY column",
                );
                return Err(error.at(at));
            }
        }
        for bound in [WindowBound::Start, WindowBound::End] {
            if !is_grouped(&|origin| *origin == Origin::Window(bound)) {
                let error = SqlError::coded(
                    Code::E04,
                    "sessions differ in both their start and their end",
                    "add window_start, window_end to GROUP BY",
                );
                return Err(error.at(at));
            }
        }
        Ok(())
    }

    fn clock_decides(&self) -> SqlError {
        SqlError::coded(
            Code::E10,
            "the current time decides which rows a window gets, so no two runs would agree",
            "compare with the event's own time, or leave the condition out: windows end by themselves",
        )
        .at(self.clauses.clock())
    }

    fn check_updating(
        &self,
        aggregate: &Aggregate,
        origins: &[Origin],
        has_watermark: bool,
        at: Option<crate::Position>,
    ) -> Result<(), SqlError> {
        let schema = aggregate.input.schema();
        if !self.allowed.updates {
            let hint =
                "group by a window: TABLE(TUMBLE(…)) or date_bin(…); or keep the result in a CREATE MATERIALIZED VIEW";
            return Err(SqlError::coded(Code::E01, "GROUP BY without a window never has a final row", hint).at(at));
        }
        for (key, origin) in aggregate.group_expr.iter().zip(origins) {
            let is_time =
                matches!(key.get_type(schema)?, DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_));
            if !self.allowed.ttl && is_time {
                let message = format!("{key} gives a new key for ever, and nothing lets go of old ones");
                let hint = match (origin, has_watermark) {
                    (Origin::Time | Origin::LostTime, _) => "group by a window of it, or set WITH ('ttl' = '1 h')",
                    _ => "set a time-to-live: CREATE MATERIALIZED VIEW … WITH ('ttl' = '1 h')",
                };
                return Err(SqlError::coded(Code::E12, message, hint).at(at));
            }
        }
        Ok(())
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
            Shape::Stream { .. } => Err(SqlError::coded(
                Code::E02,
                "DISTINCT without a window would keep every row for ever",
                "select from TABLE(TUMBLE(…)) with window_start in the list, or GROUP BY in a materialized view",
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
                    return Err(SqlError::new(
                        "the parts of a UNION ALL must all be streams, or all have the same window",
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
            return Err(SqlError::new(format!("`{}` cannot be read continuously", table.name))
                .hint("SELECT from it answers what it holds now"));
        }
        Some(Relation::MaterializedView(view)) => {
            return Err(SqlError::new(format!("`{}` FOR SYSTEM_TIME AS OF can only be joined to a stream", view.name))
                .hint("leave FOR SYSTEM_TIME out to read what feeds it"));
        }
        _ => {}
    }
    let table = table_of(scan.source.as_ref())?;
    if table.roles.source.is_none() && table.roles.lookup {
        return Err(SqlError::new(format!("`{}` is read whole, and can only be joined to a stream", table.decl.name))
            .hint("write FROM stream JOIN table ON …"));
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

/// Only bare references and aliases keep what a column is.
pub(crate) fn origin(expr: &Expr, schema: &DFSchema, input: &Checked) -> Origin {
    match expr {
        Expr::Alias(alias) => origin(&alias.expr, schema, input),
        Expr::Column(column) => column_origin(column, schema, input),
        Expr::Cast(Cast { expr, .. }) if matches!(origin(expr, schema, input), Origin::Window(_)) => {
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
            return Err(SqlError::new("subqueries in expressions are not available on streams")
                .hint("write the subquery as a table in FROM and join it"));
        }
    }
    Ok(())
}

fn unsupported(plan: &LogicalPlan) -> SqlError {
    let message = format!("this cannot run on a stream: {}", plan.display());
    SqlError::coded(Code::E13, message, "docs/sql.md lists what can; SELECT from a live table can do everything")
}
