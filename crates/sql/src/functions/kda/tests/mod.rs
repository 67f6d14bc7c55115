//! Expressions and what they give, through the session: once as they are, once simplified.

mod casts;
mod numbers;
mod texts;
mod times;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatchOptions;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::DFSchema;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::create_physical_expr;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::testing::session;
use crate::{Catalog, Session, SqlError};

/// The value of an expression as a text, `NULL`, or its error.
fn value(session: &Session, sql: &str) -> Result<String, String> {
    let words = |error: SqlError| error.to_string();
    let schema = DFSchema::empty();
    let ast = Parser::new(&GenericDialect {}).try_with_sql(sql).unwrap().parse_expr().unwrap();
    let (bound, _) = session.bind_expr(&Catalog::default(), ast, &schema).map_err(words)?;
    let plain = Session::coerce(bound, &schema).map_err(words)?;
    let simplified = session.simplify(plain.clone(), &schema).map_err(words)?;
    let (one, other) = (evaluate(&plain), evaluate(&simplified));
    assert_eq!(one.is_ok(), other.is_ok(), "{sql}: {one:?} {other:?}");
    if let (Ok(one), Ok(other)) = (&one, &other) {
        assert_eq!(one, other, "{sql}");
    }
    one
}

fn evaluate(expr: &Expr) -> Result<String, String> {
    let words = |error: datafusion::error::DataFusionError| SqlError::from(error).to_string();
    let physical =
        create_physical_expr(expr, &DFSchema::empty(), &ExecutionProps::new(), &PhysicalPlanningContext::default())
            .map_err(words)?;
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let rows = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).unwrap();
    let column = physical.evaluate(&rows).and_then(|value| value.into_array(1)).map_err(words)?;
    let options = FormatOptions::default().with_null("NULL");
    Ok(ArrayFormatter::try_new(&column, &options).unwrap().value(0).to_string())
}

/// Cases of one line each: an expression, ` => `, and its value; `error: ` begins a part of a message.
fn check(cases: &str) {
    let session = session().unwrap();
    let mut wrong = Vec::new();
    for line in cases.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (sql, expected) = line.split_once(" => ").unwrap();
        let found = value(&session, sql);
        let holds = match (expected.strip_prefix("error: "), &found) {
            (None, Ok(found)) => found == expected.trim_matches('|'),
            (Some(part), Err(message)) => message.contains(part),
            _ => false,
        };
        if !holds {
            wrong.push(format!("{line}\n    found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The first column of a query, run by DataFusion alone.
fn rows(session: &Session, query: &str) -> String {
    let context = datafusion::prelude::SessionContext::new_with_state((**session.state()).clone());
    // Nothing here waits for anything: whoever polls goes on.
    let mut run = pin!(async { context.sql(query).await.unwrap().collect().await.unwrap() });
    let batches = loop {
        if let Poll::Ready(batches) = run.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            break batches;
        }
    };
    let options = FormatOptions::default().with_null("NULL");
    let mut values = Vec::new();
    for batch in &batches {
        let column = ArrayFormatter::try_new(batch.column(0), &options).unwrap();
        values.extend((0..batch.num_rows()).map(|row| column.value(row).to_string()));
    }
    values.join(" ")
}

#[test]
fn the_examples_of_the_documentation_hold() {
    let page = include_str!("../../../../../../docs/kda-functions.md");
    let session = session().unwrap();
    let mut count = 0;
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let plain = line.replace("\\|", "\u{1}");
        let cells: Vec<&str> = plain.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
        let [.., example, gives] = cells.as_slice() else { continue };
        let (Some(example), Some(gives)) = (code(example), code(gives)) else { continue };
        assert_eq!(value(&session, &example.replace('\u{1}', "|")), Ok(gives.to_owned()), "{example}");
        count += 1;
    }
    assert!(count > 40, "{count} examples were found");
}

/// What stands between backticks.
fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`').filter(|code| !code.contains('`'))
}
