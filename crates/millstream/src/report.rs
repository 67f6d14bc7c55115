//! What a check found, as the API and `millstream check --format json` tell it.

use millstream_engine::CheckReport;
use serde::Serialize;

use crate::http::{Problem, Shape};
use crate::secrets::redact;

/// A check's findings.
#[derive(Serialize)]
pub(crate) struct Report {
    statements: Vec<Statement>,
    warnings: Vec<Warning>,
    errors: Vec<Shape>,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "members are named as the API has them")]
struct Statement {
    statement: String,
    kind: &'static str,
    name: String,
    explain: String,
}

#[derive(Serialize)]
struct Warning {
    code: &'static str,
    message: String,
    line: Option<u64>,
    column: Option<u64>,
}

impl From<CheckReport> for Report {
    fn from(report: CheckReport) -> Self {
        let statements = report.statements.into_iter().map(|checked| Statement {
            statement: redact(&checked.statement),
            kind: checked.kind,
            name: checked.name,
            explain: checked.explain,
        });
        let warnings = report.warnings.into_iter().map(|warning| Warning {
            code: warning.code,
            message: warning.message,
            line: warning.at.map(|at| at.line),
            column: warning.at.map(|at| at.column),
        });
        let errors = report.errors.into_iter().map(|error| Problem::from(error).shape());
        Self { statements: statements.collect(), warnings: warnings.collect(), errors: errors.collect() }
    }
}
