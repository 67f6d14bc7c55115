//! Scripts into effect: plan all, compile all, then start.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use millstream_sql::{Catalog, Effect, Lookup, QueryAction, SqlError, Statement, apply, parse};

use crate::compile::Prepared;
use crate::durable::Origin;
use crate::engine::{Inner, MAX_QUERIES, Outcome, Running, Script, ScriptError};
use crate::live_table::LiveTable;
use crate::lookup::{Contents, look_up, scanned};
use crate::system::progress;

/// A statement's effect, compiled as far as it can be without starting anything.
enum Step {
    Done(Outcome),
    Start(Box<Prepared>, Option<Box<Origin>>),
    LookUp { statement: String, lookup: Lookup },
    Drop { statement: String, kind: &'static str, name: String },
    Alter { statement: String, name: String, action: QueryAction },
}

impl Inner {
    pub(crate) fn execute(self: &Arc<Self>, scripts: &[Script]) -> Result<Vec<Outcome>, ScriptError> {
        let mut state = self.lock();
        let mut catalog = state.catalog.clone();
        let mut steps = Vec::new();
        let mut tables = HashMap::new();
        let mut definitions: Vec<(String, String)> = Vec::new();
        let mut dropped = HashSet::new();
        for (index, script) in scripts.iter().enumerate() {
            let failed = |error| ScriptError { script: index, error };
            for statement in parse(&script.text).map_err(failed)? {
                let effect =
                    apply(&self.session, self.connectors.as_ref(), &mut catalog, &statement).map_err(failed)?;
                if script.durable
                    && let Some(name) = defines(&effect)
                {
                    definitions.push((name, definition(&effect, &statement)));
                }
                let step = self.prepare(&state, &catalog, &mut tables, &dropped, &statement, effect);
                let step = step.map_err(|error| failed(error.at(statement.at)))?;
                if let Step::Drop { name, .. } = &step {
                    dropped.insert(name.clone());
                }
                steps.push((index, step));
            }
        }
        let starting = steps.iter().filter(|(_, step)| matches!(step, Step::Start(..))).count();
        if state.queries.len() + starting > MAX_QUERIES {
            let error = SqlError::new(format!("there would be more than {MAX_QUERIES} queries"));
            return Err(ScriptError { script: 0, error: error.hint("drop some first") });
        }
        if state.stopping {
            return Err(ScriptError { script: 0, error: SqlError::new("the service is stopping") });
        }
        let mut writers = VecDeque::new();
        for (index, step) in &mut steps {
            if let Step::Start(prepared, Some(origin)) = step {
                let claimed = self.claim(origin, prepared).map_err(|error| ScriptError { script: *index, error })?;
                writers.extend(claimed);
            }
        }
        // From here on everything takes effect; what waits runs last and outside the lock.
        state.catalog = catalog;
        state.definitions.retain(|(name, _)| !definitions.iter().any(|(defined, _)| defined == name));
        state.definitions.extend(definitions);
        let mut outcomes = Vec::new();
        let mut started = Vec::new();
        for (index, step) in steps {
            outcomes.push((
                index,
                match step {
                    Step::Done(outcome) => Ok(outcome),
                    Step::Start(prepared, origin) => {
                        let durable = origin.and_then(|origin| Some((*origin, writers.pop_front()?)));
                        self.start_query(&mut state, *prepared, durable, &mut started)
                    }
                    Step::Drop { statement, kind, name } => {
                        let folder = started.contains(&name);
                        self.drop_query(&mut state, &name);
                        if !folder {
                            self.forget_state(&name, None);
                        }
                        state.definitions.retain(|(defined, _)| *defined != name);
                        Ok(Outcome::Dropped { statement, kind, name })
                    }
                    Step::Alter { statement, name, action: QueryAction::Savepoint(savepoint) } => {
                        drop(state);
                        let taken = self.runtime.block_on(self.checkpoint(&name, Some(savepoint)));
                        state = self.lock();
                        taken.map(|_| Outcome::Altered { statement, name })
                    }
                    Step::Alter { statement, name, action } => {
                        self.alter(&mut state, &name, action).map(|()| Outcome::Altered { statement, name })
                    }
                    Step::LookUp { statement, lookup } => {
                        let contents = self.contents(&state, &lookup);
                        drop(state);
                        let found =
                            contents.and_then(|contents| look_up(&self.session, &self.runtime, lookup.plan, contents));
                        state = self.lock();
                        found.map(|(schema, rows)| Outcome::Rows { statement, schema, rows })
                    }
                },
            ));
        }
        self.start_readers(&mut state, &started).map_err(|error| ScriptError { script: 0, error })?;
        outcomes.into_iter().map(|(script, outcome)| outcome.map_err(|error| ScriptError { script, error })).collect()
    }

    fn prepare(
        &self,
        state: &Running,
        catalog: &Catalog,
        tables: &mut HashMap<String, Arc<LiveTable>>,
        dropped: &HashSet<String>,
        statement: &Statement,
        effect: Effect,
    ) -> Result<Step, SqlError> {
        let text = statement.text.clone();
        refuse(state, &effect)?;
        Ok(match effect {
            Effect::Created { kind, name } | Effect::Existed { kind, name } => {
                Step::Done(Outcome::Created { statement: text, kind, name })
            }
            Effect::Query(query) if query.replaces || query.start.is_some() => {
                let message = format!("`{}` cannot be replaced or started from another place", query.name);
                return Err(SqlError::new(message)
                    .hint("this engine keeps no state yet: leave START FROM out, or DROP the query first"));
            }
            Effect::Query(query) => {
                let mut prepared = self.compile(query, &|relation| self.reference(state, tables, relation))?;
                let is_new = dropped.contains(&prepared.plan.name);
                let origin = self.origin(&mut prepared, is_new)?;
                if let Some(table) = &prepared.table {
                    tables.insert(prepared.plan.name.clone(), Arc::clone(table));
                }
                Step::Start(Box::new(prepared), origin.map(Box::new))
            }
            Effect::Dropped { kind, name } => Step::Drop { statement: text, kind, name },
            Effect::Rows(lookup) => Step::LookUp { statement: text, lookup },
            Effect::Explained { text: explained, sources } => {
                let explained = explained + &progress(&sources, state);
                Step::Done(Outcome::Explained { statement: text, text: explained })
            }
            Effect::Described { name, columns } => Step::Done(Outcome::Described { statement: text, name, columns }),
            Effect::Show(what) => Step::Done(crate::system::show(text, what, state, catalog)?),
            Effect::Set { key, value } => {
                Step::Done(Outcome::Set { statement: text, key, value: value.unwrap_or_default() })
            }
            Effect::Alter { query, action } => Step::Alter { statement: text, name: query, action },
        })
    }

    /// What a lookup reads, copied.
    fn contents(&self, state: &Running, lookup: &Lookup) -> Result<Contents, SqlError> {
        let mut contents = Contents::new();
        for name in scanned(&lookup.plan)? {
            let table = match state.queries.get(&name).and_then(|query| query.table.as_ref()) {
                Some(table) => Some(table),
                None if name == self.errors.name() => Some(&self.errors),
                None => None,
            };
            let rows = match table {
                Some(table) => (Arc::clone(table.schema()), table.snapshot()?.rows),
                None => crate::system::rows(&name, state)?,
            };
            contents.insert(name, rows);
        }
        Ok(contents)
    }
}

/// What is wrong with an effect although the catalog has all it names.
pub(crate) fn refuse(state: &Running, effect: &Effect) -> Result<(), SqlError> {
    match effect {
        Effect::Dropped { kind: "query", name } | Effect::Alter { query: name, .. }
            if !state.queries.contains_key(name) =>
        {
            Err(no_query(state, name))
        }
        _ => Ok(()),
    }
}

fn no_query(state: &Running, name: &str) -> SqlError {
    let names: Vec<&str> = state.queries.keys().map(String::as_str).collect();
    SqlError::new(format!("there is no query `{name}`")).hint(format!("there are: {}", names.join(", ")))
}

/// What a durable statement is read as again.
fn definition(effect: &Effect, statement: &Statement) -> String {
    match effect {
        Effect::Query(query) => query.definition.clone(),
        _ => statement.text.clone(),
    }
}

/// What a durable statement is remembered under.
fn defines(effect: &Effect) -> Option<String> {
    match effect {
        Effect::Created { name, .. } => Some(name.clone()),
        Effect::Query(query) if !query.name.is_empty() => Some(query.name.clone()),
        _ => None,
    }
}
