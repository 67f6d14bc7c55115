//! Whether a query can run on streams, bottom-up over the analyzed plan: what each part yields, and which columns still
//! carry event time or a window. What cannot run is refused here, with its code, its place and what to do.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{
    Aggregate, Cast, Distinct, Expr, ExprSchemable, Join, LogicalPlan, TableScan, Union, Window,
};
use millstream_core::WindowSpec;

use super::locate::Clauses;
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
        match &input.shape {
            Shape::Stream { assigned: None, .. } => {}
            Shape::Bounded => return Err(SqlError::new("a window function needs a stream").at(self.clauses.window())),
            Shape::Updating => return Err(Self::over_updating("a window", self.clauses.window())),
            Shape::Windowed(_) | Shape::Stream { .. } => {
                return Err(SqlError::new("windows over windows are not available yet")
                    .at(self.clauses.window())
                    .hint("aggregate the first window's rows with a second GROUP BY on the same window"));
            }
        }
        let found = origin(&assign.time, assign.input.schema(), &input);
        Self::require_time(found, &assign.time, &input, self.clauses.window())?;
        let mut origins = input.origins;
        origins.extend([WindowBound::Start, WindowBound::End, WindowBound::Time].map(Origin::Window));
        let Shape::Stream { has_watermark, .. } = input.shape else { return Err(unsupported(&assign.input)) };
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
        if aggregate.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_))) {
            return Err(SqlError::new("GROUPING SETS, CUBE and ROLLUP are not available on streams yet").at(at));
        }
        let clock = input.clock || aggregate.group_expr.iter().any(asks_for_now);
        let mut origins: Vec<Origin> = aggregate.group_expr.iter().map(|key| origin(key, schema, &input)).collect();
        let mut window = None;
        for (key, found) in aggregate.group_expr.iter().zip(&mut origins) {
            let Some(function) = time_function(key) else { continue };
            let (function, column) = function.map_err(|error| error.at(at))?;
            let source = origin(column, schema, &input);
            match (&input.shape, source) {
                (Shape::Stream { .. }, Origin::Time) => {
                    let TimeFunction { spec } = function;
                    window = Some(window.map_or(spec, |finest: WindowSpec| finest.min(spec)));
                    *found = Origin::Window(WindowBound::Start);
                }
                (Shape::Stream { .. }, Origin::LostTime) => Self::require_time(source, column, &input, at)?,
                // With a time-to-live it may be meant as an ordinary key.
                (Shape::Stream { has_watermark: false, .. }, _) if !self.allowed.ttl => {
                    Self::require_time(source, column, &input, at)?;
                }
                _ => {}
            }
        }
        origins.extend(std::iter::repeat_n(Origin::Other, aggregate.aggr_expr.len()));
        let keyed_by_window = origins.iter().any(|origin| matches!(origin, Origin::Window(_)));
        let shape = match input.shape {
            Shape::Bounded => Shape::Bounded,
            Shape::Updating => return Err(Self::over_updating("an aggregate", at)),
            Shape::Windowed(spec) if keyed_by_window => Shape::Windowed(spec),
            Shape::Windowed(_) => {
                return Err(SqlError::coded(
                    Code::E01,
                    "this aggregate runs over all windows, which never end",
                    "add window_start or window_end to its GROUP BY",
                )
                .at(at));
            }
            Shape::Stream { assigned: Some(spec), .. } if keyed_by_window => {
                Shape::Windowed(window.map_or(spec, |w| w.min(spec)))
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
                Some(spec) => Shape::Windowed(spec),
                None => {
                    self.check_updating(aggregate, &origins, has_watermark, at)?;
                    Shape::Updating
                }
            },
        };
        if clock && matches!(shape, Shape::Windowed(_)) {
            return Err(self.clock_decides());
        }
        Ok(Checked { shape, origins, clock: false })
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

    fn check_join(&self, join: &Join) -> Result<Checked, SqlError> {
        let (left, right) = (self.check(&join.left)?, self.check(&join.right)?);
        let at = self.clauses.join();
        let unbounded = || {
            SqlError::coded(
                Code::E05,
                "a join of streams must keep every row until its partner comes, and here that is for ever",
                "join windows: aggregate both sides by the same window and add l.window_end = r.window_end to ON",
            )
            .at(at)
        };
        let origins: Vec<Origin> = left.origins.iter().chain(&right.origins).copied().collect();
        let origins = (origins.into_iter()).take(join.schema.fields().len()).collect::<Vec<_>>();
        match (&left.shape, &right.shape) {
            (Shape::Bounded, Shape::Bounded) => Ok(Checked {
                shape: Shape::Bounded,
                origins: vec![Origin::Other; join.schema.fields().len()],
                clock: false,
            }),
            (Shape::Windowed(a), Shape::Windowed(b)) if a != b => Err(SqlError::coded(
                Code::E06,
                format!("the left side has {a}, the right side {b}"),
                "give both sides the same window",
            )
            .at(at)),
            (Shape::Windowed(spec), Shape::Windowed(_)) => {
                let same_window = join_pairs(join).into_iter().any(|(l, r)| {
                    let found = |expr: &Expr| match origin(expr, join.left.schema(), &left) {
                        Origin::Other => origin(expr, join.right.schema(), &right),
                        found => found,
                    };
                    matches!((found(&l), found(&r)), (Origin::Window(a), Origin::Window(b)) if a == b)
                });
                if same_window && origins.len() == join.schema.fields().len() {
                    Ok(Checked { shape: Shape::Windowed(*spec), origins, clock: false })
                } else {
                    Err(unbounded())
                }
            }
            (Shape::Updating, _) | (_, Shape::Updating) => Err(Self::over_updating("a join", at)),
            _ => Err(unbounded()),
        }
    }

    fn check_over(&self, window: &Window) -> Result<Checked, SqlError> {
        let input = self.check(&window.input)?;
        let schema = window.input.schema();
        let mut origins = input.origins.clone();
        origins.extend(std::iter::repeat_n(Origin::Other, window.window_expr.len()));
        match input.shape {
            Shape::Bounded => {}
            Shape::Windowed(_) => {
                for expr in &window.window_expr {
                    let Expr::WindowFunction(function) = expr.clone().unalias() else { continue };
                    let partitions = &function.params.partition_by;
                    if !partitions.iter().any(|part| matches!(origin(part, schema, &input), Origin::Window(_))) {
                        return Err(SqlError::coded(
                            Code::E01,
                            format!("{} runs over all windows, which never end", function.fun.name()),
                            "add PARTITION BY window_start, window_end to its OVER",
                        ));
                    }
                }
            }
            Shape::Stream { .. } => {
                return Err(SqlError::new("OVER windows on a stream are not available yet")
                    .hint("aggregate in TABLE(TUMBLE(…)) windows"));
            }
            Shape::Updating => return Err(Self::over_updating("an OVER window", None)),
        }
        Ok(Checked { origins, ..input })
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
    if let Some(Relation::System(table)) = relation_of(scan.source.as_ref()) {
        return Err(SqlError::new(format!("`{}` cannot be read continuously", table.name))
            .hint("SELECT from it answers what it holds now"));
    }
    let table = table_of(scan.source.as_ref())?;
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

/// The equalities of a join, from its keys and from its filter.
fn join_pairs(join: &Join) -> Vec<(Expr, Expr)> {
    let mut pairs = join.on.clone();
    if let Some(filter) = &join.filter {
        for part in datafusion::logical_expr::utils::split_conjunction(filter) {
            if let Expr::BinaryExpr(binary) = part
                && binary.op == datafusion::logical_expr::Operator::Eq
            {
                pairs.push((*binary.left.clone(), *binary.right.clone()));
            }
        }
    }
    pairs
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
    SqlError::new(format!("this cannot run on a stream: {}", plan.display()))
}
