//! Checking a script: everything that is wrong with it, each once, and what its statements would do.

use std::collections::BTreeSet;

use millstream_sql::{Effect, SqlError, Statement, Warning, apply, explain, parse_each};

use crate::engine::{CheckReport, Checked, Inner};
use crate::execute::refuse;

impl Inner {
    /// Plans every statement that can be read, against the catalog as the statements before it leave it.
    pub(crate) fn check(&self, script: &str) -> CheckReport {
        let mut report = CheckReport::default();
        let mut catalog = self.lock().catalog.clone();
        let statements = match parse_each(script) {
            Ok(statements) => statements,
            Err(error) => {
                report.errors.push(error);
                return report;
            }
        };
        // What failed to be created: whoever reads it is not to blame.
        let mut broken: BTreeSet<String> = BTreeSet::new();
        for statement in statements {
            let (creates, error) = match statement {
                Err(unreadable) => (unreadable.creates, unreadable.error),
                Ok(statement) => {
                    let applied = apply(&self.session, self.connectors.as_ref(), &mut catalog, &statement);
                    let applied = applied.and_then(|effect| match refuse(&self.lock(), &effect) {
                        Ok(()) => Ok(effect),
                        Err(error) => Err(error.at(statement.at)),
                    });
                    match applied {
                        Ok(effect) => {
                            statement.creates().map(|name| broken.remove(name));
                            report.add(statement, effect);
                            continue;
                        }
                        Err(error) => (statement.creates().map(str::to_owned), error),
                    }
                }
            };
            let is_consequence = |error: &SqlError| broken.iter().any(|name| error.is_no_table(name));
            if !is_consequence(&error) {
                report.errors.push(error);
            }
            broken.extend(creates.filter(|name| catalog.get(name).is_none()));
        }
        report
    }
}

impl CheckReport {
    fn add(&mut self, statement: Statement, effect: Effect) {
        let Statement { text, at, warnings, .. } = statement;
        self.warnings.extend(warnings);
        let (kind, name, explain) = describe(&effect);
        let query = match effect {
            Effect::Query(query) => {
                let of_statement = |warning: &Warning| Warning { at: warning.at.or(at), ..warning.clone() };
                self.warnings.extend(query.pipeline.warnings.iter().map(of_statement));
                Some(Box::new(query))
            }
            _ => None,
        };
        self.statements.push(Checked { statement: text, at, kind, name, explain, query });
    }
}

fn describe(effect: &Effect) -> (&'static str, String, String) {
    match effect {
        Effect::Created { kind, name } | Effect::Existed { kind, name } => (kind, name.clone(), String::new()),
        Effect::Query(query) => ("query", query.name.clone(), explain(&query.pipeline)),
        Effect::Dropped { name, .. } => ("dropped", name.clone(), String::new()),
        Effect::Rows(_) | Effect::Show(_) => ("rows", String::new(), String::new()),
        Effect::Explained { text, .. } => ("explain", String::new(), text.clone()),
        Effect::Described { name, .. } => ("rows", name.clone(), String::new()),
        Effect::Set { key, .. } => ("set", key.clone(), String::new()),
        Effect::Alter { query, .. } => ("query", query.clone(), String::new()),
    }
}
