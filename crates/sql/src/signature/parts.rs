//! A pipeline, part by part. What the last stage does to its results is left out, and so is all of a stage without state
//! that comes last.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::close::outputs;
use super::text::{Named, distinct_names, listed};
use crate::SqlError;
use crate::catalog::{Column as TableColumn, ColumnKind, Table};
use crate::pipeline::{Column, Feed, Gives, Input, Leaf, Operator, Pipeline, RowTime, Stage, WindowBound};
use crate::plan::over::window_function;

type Part = (String, String);

/// All parts: tables first, because a change there is the cause of others.
pub(super) fn parts(pipeline: &Pipeline) -> Result<Vec<Part>, SqlError> {
    let needs_time = pipeline.feeds().any(|feed| feed.hot.time != RowTime::None);
    let mut parts = Parts { pipeline, needs_time, tables: BTreeMap::new(), found: Vec::new(), names: Vec::new() };
    for number in 0..pipeline.stages.len() {
        parts.stage(number)?;
    }
    let mut all = vec![("the number of stages".to_owned(), pipeline.stages.len().to_string())];
    for (table, used) in parts.tables.values() {
        if needs_time {
            all.push((format!("the event time of table {}", table.decl.name), event_time(table)));
        }
        all.extend(columns_used(table, used)?);
    }
    all.extend(parts.found);
    Ok(all)
}

struct Parts<'a> {
    pipeline: &'a Pipeline,
    /// Whether anything goes by event time.
    needs_time: bool,
    /// The tables whose rows are kept, and the columns that decide what is.
    tables: BTreeMap<&'a str, (&'a Table, BTreeSet<usize>)>,
    found: Vec<Part>,
    /// What the columns that each stage gives are called.
    names: Vec<Vec<String>>,
}

impl<'a> Parts<'a> {
    fn stage(&mut self, number: usize) -> Result<(), SqlError> {
        let stage = &self.pipeline.stages[number];
        let is_last = number + 1 == self.pipeline.stages.len();
        let place = if self.pipeline.stages.len() == 1 { String::new() } else { format!(" of stage {}", number + 1) };
        let keeps = !(is_last && matches!(stage.operator, Operator::Rows));
        let mut inputs = Vec::new();
        let first_of_stage = self.found.len();
        for (index, leaf) in stage.leaves.iter().enumerate() {
            let place = match (&stage.operator, stage.leaves.len()) {
                (_, 1) => place.clone(),
                (Operator::IntervalJoin(_), _) => {
                    format!(" of the {} side{place}", if index == 0 { "left" } else { "right" })
                }
                _ => format!(" of input {}{place}", index + 1),
            };
            inputs.push(self.leaf(leaf, &place, keeps)?);
        }
        let mut found = Vec::new();
        let rows = operator(stage, &inputs, &mut |what, text| found.push((format!("{what}{place}"), text)))?;
        if keeps {
            self.found.splice(first_of_stage..first_of_stage, found);
        }
        if is_last {
            return Ok(());
        }
        let names = match &stage.close {
            None => rows.into_iter().next().unwrap_or_default(),
            Some(close) => {
                let close = outputs(close, &rows)?;
                self.found.push((format!("what is done to the results{place}"), close.text));
                close.names
            }
        };
        self.names.push(names);
        Ok(())
    }

    /// The parts of a leaf; answers what its columns are called.
    fn leaf(&mut self, leaf: &'a Leaf, place: &str, keeps: bool) -> Result<Vec<String>, SqlError> {
        let mut names = Vec::new();
        for (index, feed) in leaf.feeds.iter().enumerate() {
            let place = match leaf.feeds.len() {
                1 => place.to_owned(),
                _ => format!(" of part {}{place}", index + 1),
            };
            let given = self.feed(leaf, feed, &place, keeps)?;
            if index == 0 {
                names = given;
            }
        }
        names.truncate(leaf.schema.fields().len());
        Ok(distinct_names(names))
    }

    fn feed(&mut self, leaf: &Leaf, feed: &'a Feed, place: &str, keeps: bool) -> Result<Vec<String>, SqlError> {
        let (source, names) = match &feed.hot.input {
            Input::Table(table) => {
                let names = table.schema.fields().iter().map(|field| field.name().clone()).collect();
                (format!("table {}", table.decl.name), names)
            }
            Input::Stage(stage) => (format!("stage {}", stage + 1), self.names[*stage].clone()),
        };
        let schema = feed.hot.schema.as_ref();
        let named = Named { schema, names: &names };
        let columns = feed.columns.iter().map(|column| column_text(column, named)).collect::<Result<Vec<_>, _>>()?;
        let aggregates = named.texts(&feed.aggregates)?;
        let mut add = |what: &str, text: String| self.found.push((format!("{what}{place}"), text));
        add("the source", source);
        if keeps {
            // Bounds of windows are not kept: they are those of the window.
            let typed = feed.columns.iter().zip(&columns).filter_map(|(column, text)| match column {
                Column::Row(expr) => Some(expr.get_type(schema).map(|data_type| format!("{text} {data_type}"))),
                Column::Window(_) => None,
            });
            let typed = typed.collect::<Result<Vec<_>, _>>()?;
            let keys: Vec<String> = leaf.session_keys.iter().filter_map(|key| columns.get(*key).cloned()).collect();
            add("the filter", named.conditions(&feed.hot.filters)?);
            add("the row's time", time_text(feed.hot.time, &names));
            add(if leaf.gives == Gives::Groups { "the keys" } else { "the columns" }, listed(&typed, ", "));
            if !keys.is_empty() {
                add("the keys of sessions", listed(&keys, ", "));
            }
            if leaf.gives == Gives::Groups {
                let typed = feed.aggregates.iter().zip(&aggregates);
                let typed = typed.map(|(expr, text)| Ok(format!("{text}{}", argument_types(expr, schema)?)));
                add("the aggregates", listed(&typed.collect::<Result<Vec<_>, SqlError>>()?, ", "));
            }
            self.note_table(feed);
        }
        Ok(columns.into_iter().chain(aggregates).collect())
    }

    /// Remembers which columns of a table decide what is kept.
    fn note_table(&mut self, feed: &'a Feed) {
        let Some(table) = feed.hot.input.table() else { return };
        let (_, used) = self.tables.entry(&table.decl.name).or_insert_with(|| (table, BTreeSet::new()));
        if self.needs_time {
            used.extend(table.time.map(|time| time.column));
        }
        let rows = feed.columns.iter().filter_map(|column| match column {
            Column::Row(expr) => Some(expr),
            Column::Window(_) => None,
        });
        for expr in rows.chain(&feed.aggregates).chain(&feed.hot.filters) {
            let columns = expr.column_refs().into_iter();
            used.extend(columns.filter_map(|column| feed.hot.schema.maybe_index_of_column(column)));
        }
    }
}

/// The parts of an operator; answers what the columns that it gives to CLOSE are called, for each leaf of CLOSE.
fn operator(
    stage: &Stage,
    inputs: &[Vec<String>],
    add: &mut dyn FnMut(&str, String),
) -> Result<Vec<Vec<String>>, SqlError> {
    let named = |index: usize| Named { schema: &stage.leaves[index].schema, names: &inputs[index] };
    let mut window = |text: &str| add("the window", text.to_owned());
    match &stage.operator {
        Operator::Rows => window("none: rows as they come"),
        Operator::Windows(spec) => window(&spec.to_string()),
        Operator::Updating { .. } => window("none: one row per key"),
        Operator::Over(over) => {
            window("none: OVER");
            let functions = named(0).texts(&over.functions)?;
            let typed = over.functions.iter().zip(&functions);
            let typed = typed.map(|(expr, text)| Ok(format!("{text}{}", argument_types(expr, named(0).schema)?)));
            add("the PARTITION BY", listed(&named(0).texts(&over.partition_by)?, ", "));
            add("the OVER functions", listed(&typed.collect::<Result<Vec<_>, SqlError>>()?, ", "));
            return Ok(vec![distinct_names(inputs[0].iter().cloned().chain(functions).collect())]);
        }
        Operator::IntervalJoin(join) => {
            window("none: a join in time");
            let pair =
                |(left, right): &(Expr, Expr)| Ok(format!("{} = {}", named(0).text(left)?, named(1).text(right)?));
            let mut on = join.on.iter().map(pair).collect::<Result<Vec<_>, SqlError>>()?;
            on.sort_unstable();
            if join.null_equals_null {
                on.push("NULL = NULL".to_owned());
            }
            let schema = stage.leaves[0].schema.join(&stage.leaves[1].schema)?;
            let names = sides(&inputs[0], &inputs[1]);
            add("the kind of the join", join.join_type.to_string());
            add("the bounds of the join", format!("from {} ms to {} ms", join.lower.0, join.upper.0));
            add("the keys of the join", listed(&on, " AND "));
            add("the condition of the join", Named { schema: &schema, names: &names }.conditions(&join.filter)?);
            let width = join.schema.fields().len();
            return Ok(vec![of_join(&inputs[0], &inputs[1], width, join.join_type)]);
        }
        Operator::Top(top) => {
            window("none: the first rows");
            let order = top.order_by.iter().map(|sort| {
                let nulls = if sort.nulls_first { "NULLS FIRST" } else { "NULLS LAST" };
                Ok(format!("{} {} {nulls}", named(0).text(&sort.expr)?, if sort.asc { "ASC" } else { "DESC" }))
            });
            add("the PARTITION BY", listed(&named(0).texts(&top.partition_by)?, ", "));
            add("the ORDER BY", listed(&order.collect::<Result<Vec<_>, SqlError>>()?, ", "));
            add("the number of rows", format!("{}{}", top.limit, if top.later_first { ", later first" } else { "" }));
            let number = std::iter::once("row_number".to_owned());
            return Ok(vec![distinct_names(inputs[0].iter().cloned().chain(number).collect())]);
        }
        Operator::InOrder(in_order) => {
            window("none: rows in order");
            let columns = in_order.columns.iter().filter_map(|column| inputs[0].get(*column).cloned());
            add("the function", in_order.function.to_string());
            add("the columns of the function", listed(&columns.collect::<Vec<_>>(), ", "));
            let mut names: Vec<String> = match in_order.function.passes() {
                None => inputs[0].clone(),
                Some(passes) => {
                    passes.iter().filter_map(|column| inputs[0].get(in_order.columns[*column]).cloned()).collect()
                }
            };
            names.extend(in_order.schema.fields().iter().skip(names.len()).map(|field| field.name().clone()));
            return Ok(vec![distinct_names(names)]);
        }
    }
    Ok(inputs.to_vec())
}

/// What the columns of two sides are called together.
pub(super) fn sides(left: &[String], right: &[String]) -> Vec<String> {
    let left = left.iter().map(|name| format!("left.{name}"));
    left.chain(right.iter().map(|name| format!("right.{name}"))).collect()
}

/// What the columns of a join are called: those of both sides, or of the one that it keeps, and a mark.
pub(super) fn of_join(
    left: &[String],
    right: &[String],
    width: usize,
    kind: datafusion::logical_expr::JoinType,
) -> Vec<String> {
    use datafusion::logical_expr::JoinType::{LeftAnti, LeftMark, LeftSemi, RightAnti, RightMark, RightSemi};
    let mut names = match kind {
        LeftSemi | LeftAnti | LeftMark => left.to_vec(),
        RightSemi | RightAnti | RightMark => right.to_vec(),
        _ => sides(left, right),
    };
    names.resize_with(width.max(names.len()), || "mark".to_owned());
    distinct_names(names)
}

fn column_text(column: &Column, named: Named<'_>) -> Result<String, SqlError> {
    Ok(match column {
        Column::Row(expr) => named.text(expr)?,
        Column::Window(WindowBound::Start) => "window_start".to_owned(),
        Column::Window(WindowBound::End) => "window_end".to_owned(),
        Column::Window(WindowBound::Time) => "window_time".to_owned(),
    })
}

fn time_text(time: RowTime, names: &[String]) -> String {
    let name = |index: usize| names.get(index).cloned().unwrap_or_default();
    match time {
        RowTime::None => "none".to_owned(),
        RowTime::Column(index) => name(index),
        RowTime::End(index) => format!("before {}", name(index)),
        RowTime::Window => "the end of its window".to_owned(),
    }
}

/// ` of T, T`: the types that a function is of, which decide what it keeps.
fn argument_types(expr: &Expr, schema: &DFSchema) -> Result<String, SqlError> {
    let arguments = match expr.clone().unalias_nested().data {
        Expr::AggregateFunction(function) => function.params.args,
        other => window_function(&other).map(|function| function.params.args.clone()).unwrap_or_default(),
    };
    let types = arguments.iter().map(|argument| Ok(argument.get_type(schema)?.to_string()));
    let types = types.collect::<Result<Vec<_>, SqlError>>()?;
    Ok(if types.is_empty() { String::new() } else { format!(" of {}", types.join(", ")) })
}

fn event_time(table: &Table) -> String {
    match table.time_column().zip(table.time) {
        Some((column, time)) => format!("{} less {} ms", column.field.name(), time.delay.0),
        None => "none".to_owned(),
    }
}

/// What the columns are that decide what is kept.
fn columns_used(table: &Table, used: &BTreeSet<usize>) -> Result<Vec<Part>, SqlError> {
    let name = &table.decl.name;
    let mut parts = Vec::new();
    let mut columns: Vec<&TableColumn> = used.iter().filter_map(|index| table.columns.get(*index)).collect();
    columns.sort_by_key(|column| column.field.name());
    for column in columns {
        let data_type = column.field.data_type();
        let text = match &column.kind {
            // Its members are told where they are used.
            ColumnKind::Physical(_) if matches!(data_type, DataType::Struct(_)) => "ROW".to_owned(),
            ColumnKind::Physical(_) => data_type.to_string(),
            ColumnKind::Metadata(metadata) => format!("{data_type}, {metadata:?} of the record"),
            ColumnKind::Computed(expr) => {
                let inputs = DFSchema::try_from(table.input_schema().as_ref().clone())?;
                let names: Vec<String> = inputs.fields().iter().map(|field| field.name().clone()).collect();
                format!("{data_type}, {}", Named { schema: &inputs, names: &names }.text(expr)?)
            }
        };
        parts.push((format!("the type of column {} of table {name}", column.field.name()), text));
    }
    Ok(parts)
}
