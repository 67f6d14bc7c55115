//! A pipeline in words: what EXPLAIN and `check` print, and the graph the page draws.

use std::fmt::Write;

use crate::pipeline::{GroupKey, Hot, Leaf, Pipeline, Stage, WindowBound};

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
        self.edges.push((from.to_owned(), to.to_owned()));
    }
}

/// The pipeline as boxes: source → hot → pane → close → target.
#[must_use]
pub fn graph(pipeline: &Pipeline, target: &str) -> Graph {
    let mut graph = Graph::default();
    let branches: Vec<(&Hot, String, Option<String>)> = match &pipeline.stage {
        Stage::Rows(branches) => {
            let project =
                |exprs: &[datafusion::logical_expr::Expr]| list(exprs.iter().map(|e| e.schema_name().to_string()));
            branches
                .iter()
                .map(|rows| (&rows.hot, hot_label(&rows.hot, Some(project(&rows.projection))), None))
                .collect()
        }
        Stage::Windowed { leaves, .. } => leaves
            .iter()
            .map(|leaf| (&leaf.hot, hot_label(&leaf.hot, None), Some(pane_label(leaf, pipeline))))
            .collect(),
        Stage::Updating { leaf, .. } => {
            vec![(&leaf.hot, hot_label(&leaf.hot, None), Some(pane_label(leaf, pipeline)))]
        }
    };
    let close = match &pipeline.stage {
        Stage::Windowed { close, .. } | Stage::Updating { close, .. } => {
            let steps = close.display_indent().to_string();
            let steps: Vec<&str> = steps.lines().map(str::trim).filter(|step| !step.starts_with("PaneLeaf")).collect();
            (!steps.is_empty()).then(|| graph.add("close", "0", steps.join("\n")))
        }
        Stage::Rows(_) => None,
    };
    let sink = graph.add("sink", target, target.to_owned());
    for (index, (hot, label, pane)) in branches.into_iter().enumerate() {
        let name = &hot.table.decl.name;
        let source = graph.add("source", name, source_label(hot));
        let mut last = graph.add("hot", &index.to_string(), label);
        graph.link(&source, &last);
        if let Some(pane) = pane {
            let pane = graph.add("pane", &index.to_string(), pane);
            graph.link(&last, &pane);
            last = pane;
        }
        graph.link(&last, close.as_deref().unwrap_or(&sink));
    }
    if let Some(close) = &close {
        graph.link(close, &sink);
    }
    graph
}

/// The pipeline as text, from the output down, as EXPLAIN does everywhere.
#[must_use]
pub fn explain(pipeline: &Pipeline) -> String {
    let graph = graph(pipeline, "result");
    let mut text = String::new();
    for kind in ["sink", "close", "pane", "hot", "source"] {
        for node in graph.nodes.iter().filter(|node| node.kind == kind) {
            let mut lines = node.label.lines();
            let _ = writeln!(text, "{:<7}{}", kind.to_uppercase(), lines.next().unwrap_or_default());
            for line in lines {
                let _ = writeln!(text, "       {line}");
            }
        }
    }
    let key: Vec<&str> = pipeline.key.iter().map(|index| pipeline.schema.field(*index).name().as_str()).collect();
    if !key.is_empty() {
        let _ = writeln!(text, "KEY    {}", key.join(", "));
    }
    for warning in &pipeline.warnings {
        let _ = writeln!(text, "{}     {}", warning.code, warning.message);
    }
    text
}

fn source_label(hot: &Hot) -> String {
    let table = &hot.table;
    let connector = table.decl.options.get("connector").unwrap_or("?");
    match table.time_column().zip(table.time) {
        Some((column, time)) => {
            format!("{} ({connector}), event time {} less {} ms", table.decl.name, column.field.name(), time.delay.0)
        }
        None => format!("{} ({connector}), no event time", table.decl.name),
    }
}

fn hot_label(hot: &Hot, project: Option<String>) -> String {
    let mut steps = vec!["decode".to_owned()];
    if !hot.filters.is_empty() {
        steps.push(format!("filter {}", list(hot.filters.iter().map(ToString::to_string))));
    }
    steps.extend(project.map(|columns| format!("project {columns}")));
    steps.join("\n")
}

fn pane_label(leaf: &Leaf, pipeline: &Pipeline) -> String {
    let keys = leaf.keys.iter().map(|key| match key {
        GroupKey::Row(expr) => expr.to_string(),
        GroupKey::Window(WindowBound::Start) => "window_start".to_owned(),
        GroupKey::Window(WindowBound::End) => "window_end".to_owned(),
        GroupKey::Window(WindowBound::Time) => "window_time".to_owned(),
    });
    let aggregates = list(leaf.aggregates.iter().map(|expr| expr.schema_name().to_string()));
    let window = pipeline.window().map_or_else(|| "no window, updating".to_owned(), |window| window.to_string());
    format!("{window}\nkeys {}\naggregates {aggregates}", list(keys))
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
