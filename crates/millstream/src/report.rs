//! What a check found, as the API and `millstream check --format json` tell it.

use millstream_engine::{CheckReport, Checked};
use millstream_sql::{ContinuousQuery, Position, SqlError, Target, Warning, graph};
use serde::Serialize;

use crate::http::{Problem, Shape};
use crate::rows::{Column, columns};
use crate::secrets::redact;

/// A check's findings, as the API answers them: an error is a problem.
#[derive(Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    planned: Planned,
    errors: Vec<Shape>,
}

/// The findings in one file, for editors: errors and warnings have the same members.
#[derive(Serialize)]
pub(crate) struct FileReport {
    file: String,
    #[serde(flatten)]
    planned: Planned,
    errors: Vec<Finding>,
}

/// What could be planned.
#[derive(Default, Serialize)]
struct Planned {
    statements: Vec<Statement>,
    queries: Vec<Query>,
    warnings: Vec<Finding>,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "members are named as the API has them")]
struct Statement {
    statement: String,
    kind: &'static str,
    name: String,
    explain: String,
    line: Option<u64>,
    column: Option<u64>,
}

/// A continuous query and what it would run as.
#[derive(Serialize)]
struct Query {
    /// Its name; a SELECT has none.
    name: Option<String>,
    line: Option<u64>,
    column: Option<u64>,
    target: QueryTarget,
    sources: Vec<String>,
    /// `null`: it has none.
    window: Option<String>,
    /// The columns that identify a row.
    key: Vec<String>,
    columns: Vec<Column>,
    /// Whether rows that were given may change.
    is_updating: bool,
    graph: Graph,
}

#[derive(Serialize)]
struct QueryTarget {
    /// `table`, `sink` or `client`.
    kind: &'static str,
    name: Option<String>,
}

#[derive(Serialize)]
struct Graph {
    nodes: Vec<Node>,
    edges: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Node {
    id: String,
    kind: &'static str,
    label: String,
}

/// An error or a warning; what it has not is `null`.
#[derive(Serialize)]
struct Finding {
    code: Option<String>,
    message: String,
    line: Option<u64>,
    column: Option<u64>,
    hint: Option<String>,
}

impl From<CheckReport> for Report {
    fn from(report: CheckReport) -> Self {
        let CheckReport { statements, warnings, errors } = report;
        let errors = errors.into_iter().map(|error| Problem::from(error).shape());
        Self { planned: Planned::new(statements, warnings), errors: errors.collect() }
    }
}

impl FileReport {
    pub(crate) fn new(file: String, report: CheckReport) -> Self {
        let CheckReport { statements, warnings, errors } = report;
        let errors = errors.into_iter().map(Finding::from).collect();
        Self { file, planned: Planned::new(statements, warnings), errors }
    }
}

impl Planned {
    fn new(checked: Vec<Checked>, warnings: Vec<Warning>) -> Self {
        let mut planned = Self { warnings: warnings.into_iter().map(Finding::from).collect(), ..Self::default() };
        for Checked { statement, at, kind, name, explain, query } in checked {
            planned.queries.extend(query.map(|query| Query::new(*query, at)));
            let (line, column) = place(at);
            planned.statements.push(Statement { statement: redact(&statement), kind, name, explain, line, column });
        }
        planned
    }
}

impl Query {
    fn new(query: ContinuousQuery, at: Option<Position>) -> Self {
        let ContinuousQuery { name, pipeline, target, .. } = query;
        let name = (!name.is_empty()).then_some(name);
        let target = match target {
            Target::LiveTable { .. } => QueryTarget { kind: "table", name: name.clone() },
            Target::Sink(table) => QueryTarget { kind: "sink", name: Some(table.decl.name.clone()) },
            Target::Client { .. } => QueryTarget { kind: "client", name: None },
        };
        let mut sources: Vec<String> = pipeline.tables().map(|table| table.decl.name.clone()).collect();
        sources.sort();
        sources.dedup();
        let key = pipeline.key.iter().map(|column| pipeline.schema.field(*column).name().clone());
        let drawn = graph(&pipeline, target.name.as_deref().unwrap_or("client"));
        let node = |node: millstream_sql::Node| Node { id: node.id, kind: node.kind, label: node.label };
        let (line, column) = place(at);
        Self {
            name,
            line,
            column,
            target,
            sources,
            window: pipeline.window().map(|window| window.to_string()),
            key: key.collect(),
            columns: columns(&pipeline.schema),
            is_updating: pipeline.is_updating(),
            graph: Graph { nodes: drawn.nodes.into_iter().map(node).collect(), edges: drawn.edges },
        }
    }
}

impl From<SqlError> for Finding {
    fn from(error: SqlError) -> Self {
        let (line, column) = place(error.at);
        let code = error.code.map(|code| format!("{code:?}"));
        Self { code, message: error.message, line, column, hint: error.hint }
    }
}

impl From<Warning> for Finding {
    fn from(warning: Warning) -> Self {
        let (line, column) = place(warning.at);
        Self { code: Some(warning.code.to_owned()), message: warning.message, line, column, hint: None }
    }
}

fn place(at: Option<Position>) -> (Option<u64>, Option<u64>) {
    (at.map(|at| at.line), at.map(|at| at.column))
}
