//! A pipeline in words: what EXPLAIN and `check` print, and the graph the page draws.

use std::fmt::Write;

use millstream_core::WindowSpec;

use crate::pipeline::{Column, Feed, Gives, Input, Leaf, Operator, Pipeline, Stage, WindowBound};
use crate::plan::over::{is_running, window_function};

/// One box of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub id: String,
    pub kind: &'static str,
    pub label: String,
}

/// Boxes and the arrows between them, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    pub nodes: Vec<Node>,
    pub edges: Vec<(String, String)>,
}

impl Graph {
    fn add(&mut self, kind: &'static str, name: &str, label: String) -> String {
        let id = format!("{kind}:{name}");
        if !self.nodes.iter().any(|node| node.id == id) {
            self.nodes.push(Node { id: id.clone(), kind, label });
        }
        id
    }

    fn link(&mut self, from: &str, to: &str) {
        let edge = (from.to_owned(), to.to_owned());
        if !self.edges.contains(&edge) {
            self.edges.push(edge);
        }
    }
}

/// The pipeline as boxes: source → hot → operator → close → target, a row of them for each stage.
#[must_use]
pub fn graph(pipeline: &Pipeline, target: &str) -> Graph {
    let mut graph = Graph::default();
    let mut ends: Vec<String> = Vec::new();
    for (number, stage) in pipeline.stages.iter().enumerate() {
        let mut after_hot = Vec::new();
        for (leaf_number, leaf) in stage.leaves.iter().enumerate() {
            for (feed_number, feed) in leaf.feeds.iter().enumerate() {
                let before = match &feed.hot.input {
                    Input::Table(table) => graph.add("source", &table.decl.name, source_label(table)),
                    Input::Stage(earlier) => ends[*earlier].clone(),
                };
                let hot = graph.add("hot", &format!("{number}.{leaf_number}.{feed_number}"), hot_label(leaf, feed));
                graph.link(&before, &hot);
                after_hot.push(hot);
            }
        }
        let mut last = None;
        if !matches!(stage.operator, Operator::Rows) {
            let operator = graph.add("operator", &number.to_string(), operator_label(stage));
            for hot in &after_hot {
                graph.link(hot, &operator);
            }
            last = Some(operator);
        }
        if let Some(close) = &stage.close {
            let steps = close.display_indent().to_string();
            let steps: Vec<&str> = steps.lines().map(str::trim).filter(|step| !step.starts_with("Leaf")).collect();
            let close = graph.add("close", &number.to_string(), steps.join("\n"));
            match &last {
                Some(operator) => graph.link(operator, &close),
                None => after_hot.iter().for_each(|hot| graph.link(hot, &close)),
            }
            last = Some(close);
        }
        // Rows that go on as they come end in as many places as they come from; only one can be what follows.
        let end = last.unwrap_or_else(|| match after_hot.as_slice() {
            [only] => only.clone(),
            _ => {
                let union = graph.add("operator", &number.to_string(), "UNION ALL".to_owned());
                for hot in &after_hot {
                    graph.link(hot, &union);
                }
                union
            }
        });
        ends.push(end);
    }
    let sink = graph.add("sink", target, target.to_owned());
    if let Some(end) = ends.last() {
        graph.link(end, &sink);
    }
    graph
}

/// The pipeline as text, from the output down, as EXPLAIN does everywhere.
#[must_use]
pub fn explain(pipeline: &Pipeline) -> String {
    let graph = graph(pipeline, "result");
    let mut text = String::new();
    for node in graph.nodes.iter().rev().filter(|node| node.kind != "source") {
        write_node(&mut text, node);
    }
    for node in graph.nodes.iter().filter(|node| node.kind == "source") {
        write_node(&mut text, node);
    }
    let key: Vec<&str> = pipeline.key.iter().map(|index| pipeline.schema.field(*index).name().as_str()).collect();
    if !key.is_empty() {
        let _ = writeln!(text, "KEY       {}", key.join(", "));
    }
    for state in pipeline.stages.iter().filter_map(state_estimate) {
        let _ = writeln!(text, "STATE     {state}");
    }
    for warning in &pipeline.warnings {
        let _ = writeln!(text, "{}        {}", warning.code, warning.message);
    }
    text
}

fn write_node(text: &mut String, node: &Node) {
    let mut lines = node.label.lines();
    let _ = writeln!(text, "{:<10}{}", node.kind.to_uppercase(), lines.next().unwrap_or_default());
    for line in lines {
        let _ = writeln!(text, "          {line}");
    }
}

fn source_label(table: &crate::Table) -> String {
    let connector = table.decl.options.get("connector").unwrap_or("?");
    match table.time_column().zip(table.time) {
        Some((column, time)) => {
            format!("{} ({connector}), event time {} less {} ms", table.decl.name, column.field.name(), time.delay.0)
        }
        None => format!("{} ({connector}), no event time", table.decl.name),
    }
}

fn hot_label(leaf: &Leaf, feed: &Feed) -> String {
    let mut steps = Vec::new();
    if feed.hot.input.table().is_some() {
        steps.push("decode".to_owned());
    }
    if !feed.hot.filters.is_empty() {
        steps.push(format!("filter {}", list(feed.hot.filters.iter().map(ToString::to_string))));
    }
    if leaf.gives == Gives::Rows {
        steps.push(format!("project {}", list(feed.columns.iter().map(column_text))));
    }
    if steps.is_empty() { "as it is".to_owned() } else { steps.join("\n") }
}

fn column_text(column: &Column) -> String {
    match column {
        Column::Row(expr) => expr.to_string(),
        Column::Window(WindowBound::Start) => "window_start".to_owned(),
        Column::Window(WindowBound::End) => "window_end".to_owned(),
        Column::Window(WindowBound::Time) => "window_time".to_owned(),
    }
}

fn operator_label(stage: &Stage) -> String {
    let mut lines = vec![match &stage.operator {
        Operator::Rows => "rows".to_owned(),
        Operator::Windows(spec) => spec.to_string(),
        Operator::Updating { ttl: None } => "no window, updating".to_owned(),
        Operator::Updating { ttl: Some(ttl) } => format!("no window, updating, keys kept for {} ms", ttl.0),
        Operator::Over(over) => {
            format!(
                "OVER, in the order of time, partitions {}",
                list(over.partition_by.iter().map(ToString::to_string))
            )
        }
        Operator::IntervalJoin(join) => format!(
            "{} JOIN, the right side from {} to {} ms after the left",
            join.join_type.to_string().to_uppercase(),
            join.lower.0,
            join.upper.0
        ),
        Operator::Top(top) => {
            format!("first {} of each partition {}", top.limit, list(top.partition_by.iter().map(ToString::to_string)))
        }
        Operator::InOrder(in_order) => {
            let columns = in_order.columns.iter().map(|column| stage.leaves[0].schema.field(*column).name().clone());
            format!("{} on {}, rows in the order of time", in_order.function, list(columns))
        }
    }];
    if let Operator::Over(over) = &stage.operator {
        lines.push(format!("functions {}", list(over.functions.iter().map(|expr| expr.schema_name().to_string()))));
    }
    for leaf in stage.leaves.iter().filter(|leaf| leaf.gives == Gives::Groups) {
        let feed = leaf.feed();
        lines.push(format!("keys {}", list(feed.columns.iter().map(column_text))));
        let shown = leaf.schema.fields().len().saturating_sub(feed.columns.len());
        let aggregates = feed.aggregates.iter().take(shown).map(|expr| expr.schema_name().to_string());
        lines.push(format!("aggregates {}", list(aggregates)));
    }
    lines.join("\n")
}

/// What a stage keeps, and for how long.
fn state_estimate(stage: &Stage) -> Option<String> {
    let what = |gives: Gives| if gives == Gives::Groups { "one row per key" } else { "every row" };
    let gives = stage.leaves.first().map(|leaf| leaf.gives)?;
    Some(match &stage.operator {
        Operator::Rows => return None,
        Operator::Windows(spec @ WindowSpec::Session { gap }) => {
            let kept = if gives == Gives::Groups { "about one row per open session" } else { "every row" };
            format!("{spec}: {kept}, until {} ms after a session's last row and the watermark's delay", gap.0)
        }
        Operator::Windows(spec) => format!(
            "{spec}: {} and slice of time, for {} ms and the watermark's delay; a row is in up to {} of them",
            what(gives),
            spec.approximate_size().0,
            spec.windows_per_row_max()
        ),
        Operator::Updating { ttl: None } => "one row per key, for ever: bound it WITH ('ttl' = '1 d')".to_owned(),
        Operator::Updating { ttl: Some(ttl) } => format!("one row per key that changed in the last {} ms", ttl.0),
        Operator::Over(over) => {
            let has_running = over.functions.iter().filter_map(window_function).any(is_running);
            match (has_running, over.ttl) {
                (false, _) => "the rows of every frame".to_owned(),
                (true, None) => "the rows of every frame, and running values per partition for ever: \
                                 bound them WITH ('ttl' = '1 d')"
                    .to_owned(),
                (true, Some(ttl)) => format!(
                    "the rows of every frame, and running values per partition that had a row in the last {} ms",
                    ttl.0
                ),
            }
        }
        Operator::IntervalJoin(join) => format!(
            "left rows for {} ms, right rows for {} ms, and the watermark's delay",
            join.upper.0.max(0),
            (-join.lower.0).max(0)
        ),
        Operator::Top(top) => format!("{} rows per partition", top.limit),
        Operator::InOrder(in_order) => in_order.function.keeps(),
    })
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
