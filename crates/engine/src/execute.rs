//! Scripts into effect: plan all, compile all, then start.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use millstream_core::Leases;
use millstream_sql::{
    Catalog, Effect, Lookup, Position, QueryAction, SqlError, StartFrom, Statement, apply, parse, signature,
};

use crate::checkpoint::Writer;
use crate::compile::Prepared;
use crate::durable::Origin;
use crate::engine::{Inner, MAX_QUERIES, Outcome, Running, Script, ScriptError};
use crate::live_table::LiveTable;
use crate::lookup::{Contents, look_up, scanned};
use crate::system::progress;

/// A statement's effect, compiled as far as it can be without starting anything.
enum Step {
    Done(Outcome),
    Start(Box<Starting>),
    /// Takes part in a query that processes share.
    Share {
        prepared: Box<Prepared>,
        leases: Box<dyn Leases>,
    },
    LookUp {
        statement: String,
        lookup: Lookup,
    },
    Drop {
        statement: String,
        kind: &'static str,
        name: String,
    },
    Alter {
        statement: String,
        name: String,
        action: QueryAction,
    },
}

/// A query that is going to be started.
struct Starting {
    prepared: Prepared,
    statement: String,
    at: Option<Position>,
    /// What it goes on from, and who writes its checkpoints from then on.
    durable: Option<(Origin, Writer)>,
    origin: Option<Origin>,
    /// What there is of its name is of a query that the script drops.
    is_new: bool,
    /// What becomes of the query that it replaces.
    former: Former,
}

/// The query that another one replaces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Former {
    /// There is none.
    None,
    /// It stops, and the new one goes on with its state.
    HandsOver,
    /// It runs on until the new one has caught up.
    RunsOn,
}

impl Inner {
    pub(crate) fn execute(self: &Arc<Self>, scripts: &[Script]) -> Result<Vec<Outcome>, ScriptError> {
        let mut state = self.lock();
        let mut catalog = state.catalog.clone();
        let now = self.clock.now();
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
                match &step {
                    Step::Drop { name, .. } => {
                        dropped.insert(name.clone());
                    }
                    // What was defined before by its name is not started at all.
                    Step::Start(starting) if starting.prepared.plan.replaces => supersede(&mut steps, starting),
                    _ => {}
                }
                steps.push((index, step));
            }
        }
        let starting = steps.iter().filter(|(_, step)| matches!(step, Step::Start(_))).count();
        if state.queries.len() + starting > MAX_QUERIES {
            let error = SqlError::new(format!("there would be more than {MAX_QUERIES} queries"));
            return Err(ScriptError { script: 0, error: error.hint("drop some first") });
        }
        if state.stopping {
            return Err(ScriptError { script: 0, error: SqlError::new("the service is stopping") });
        }
        for (index, step) in &mut steps {
            let Step::Start(starting) = step else { continue };
            if starting.former != Former::HandsOver {
                let found = self.origin(&mut starting.prepared, starting.is_new, now);
                let at = starting.at;
                starting.origin = found.map_err(|error| ScriptError { script: *index, error: error.at(at) })?;
            }
        }
        for (index, step) in &mut steps {
            let Step::Start(starting) = step else { continue };
            starting.claim(self).map_err(|error| ScriptError { script: *index, error })?;
        }
        // From here on everything takes effect; what waits runs last and outside the lock.
        state.catalog = catalog;
        state.definitions.extend(definitions);
        let mut outcomes = Vec::new();
        let mut started = Vec::new();
        for (index, step) in steps {
            outcomes.push((
                index,
                match step {
                    Step::Done(outcome) => Ok(outcome),
                    Step::Start(starting) => {
                        let name = starting.prepared.plan.name.clone();
                        let mut starting = *starting;
                        let handed_over = if starting.former == Former::HandsOver {
                            drop(state);
                            let handed_over = self.take_over(&name, &mut starting);
                            state = self.lock();
                            handed_over
                        } else {
                            Ok(())
                        };
                        let Starting { prepared, durable, former, .. } = starting;
                        let key = if former == Former::RunsOn { successor(&name) } else { name.clone() };
                        if former == Former::RunsOn {
                            self.replace_later(&name);
                        }
                        handed_over.and_then(|()| self.start_query(&mut state, prepared, durable, key, &mut started))
                    }
                    Step::Share { prepared, leases } => self.share(&mut state, *prepared, leases),
                    Step::Drop { statement, kind, name } => {
                        let is_shared = state.shared.contains_key(&name);
                        self.drop_query(&mut state, &name);
                        self.drop_query(&mut state, &successor(&name));
                        if !started.contains(&name) && !is_shared {
                            self.forget_state(&name, None);
                        }
                        state.definitions.retain(|(defined, _)| *defined != name);
                        Ok(Outcome::Dropped { statement, kind, name })
                    }
                    Step::Alter { statement, name, action: QueryAction::Savepoint(savepoint) } => {
                        drop(state);
                        let taken = self.runtime.block_on(self.savepoint(&name, savepoint));
                        state = self.lock();
                        taken.map(|_| Outcome::Altered { statement, name })
                    }
                    Step::Alter { statement, name, action: QueryAction::Pause } if started.contains(&name) => {
                        Self::stay_paused(&mut state, &name, &mut started);
                        Ok(Outcome::Altered { statement, name })
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
        // A query that the script itself makes can be altered.
        let is_made = matches!(&effect, Effect::Alter { query, .. }
            if catalog.is_taken(query) && !state.queries.contains_key(query) && !state.shared.contains_key(query));
        if !is_made {
            refuse(state, &effect)?;
        }
        Ok(match effect {
            Effect::Created { kind, name } | Effect::Existed { kind, name } => {
                Step::Done(Outcome::Created { statement: text, kind, name })
            }
            Effect::Query(query) => {
                let prepared = self.compile(query, &|relation| self.reference(state, tables, relation))?;
                if let Some(table) = &prepared.table {
                    tables.insert(prepared.plan.name.clone(), Arc::clone(table));
                }
                if let Some(leases) = self.leases_of(state, &prepared.plan)? {
                    return Ok(Step::Share { prepared: Box::new(prepared), leases });
                }
                let is_dropped = dropped.contains(&prepared.plan.name);
                let former = if is_dropped { Former::None } else { self.former(state, &prepared)? };
                Step::Start(Box::new(Starting {
                    is_new: is_dropped || former == Former::RunsOn,
                    prepared,
                    statement: text,
                    at: statement.at,
                    durable: None,
                    origin: None,
                    former,
                }))
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
            Effect::Alter { query, if_exists: true, .. }
                if !is_made && !state.queries.contains_key(&query) && !state.shared.contains_key(&query) =>
            {
                Step::Done(Outcome::Altered { statement: text, name: query })
            }
            Effect::Alter { query, action, .. } => Step::Alter { statement: text, name: query, action },
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

impl Starting {
    fn claim(&mut self, engine: &Inner) -> Result<(), SqlError> {
        if let Some(mut origin) = self.origin.take() {
            let writer = engine.claim(&mut origin, &self.prepared)?;
            self.durable = writer.map(|writer| (origin, writer));
        }
        Ok(())
    }
}

impl Inner {
    /// What becomes of the query that another one is to replace.
    fn former(&self, state: &Running, prepared: &Prepared) -> Result<Former, SqlError> {
        let Some(former) = state.queries.get(&prepared.plan.name).filter(|_| prepared.plan.replaces) else {
            return Ok(Former::None);
        };
        if state.queries.contains_key(&successor(&prepared.plan.name)) {
            return Err(SqlError::new(format!("`{}` is being replaced already", prepared.plan.name))
                .hint("wait until the new query has caught up, or DROP it"));
        }
        let starts_anew = !matches!(prepared.plan.start, None | Some(StartFrom::Checkpoint));
        if starts_anew && prepared.plan.start != former.plan.start {
            return Ok(Former::RunsOn);
        }
        match signature(&former.plan.pipeline)?.difference(&signature(&prepared.plan.pipeline)?) {
            None if self.settings.checkpoints.is_some() => Ok(Former::HandsOver),
            None => Err(SqlError::new("no checkpoints are taken here: the new query cannot go on with the state of the old one")
                .hint("say START FROM BEGINNING, LATEST or TIMESTAMP '…' before its SELECT")),
            Some(_) if starts_anew => Ok(Former::RunsOn),
            Some(difference) => Err(SqlError::new(format!(
                "`{}` cannot go on with the state of the query it replaces: {difference}",
                prepared.plan.name
            ))
            .hint("say where it is to start without that state: START FROM BEGINNING, LATEST or TIMESTAMP '…', before its SELECT; the old query runs on until the new one has caught up")),
        }
    }

    /// Starts a query that has failed again, from its newest checkpoint.
    pub(crate) fn start_again(self: &Arc<Self>, state: &mut Running, name: &str) -> Result<(), SqlError> {
        let Some(failed) = state.queries.get(name) else { return Ok(()) };
        if self.settings.checkpoints.is_none() {
            return Err(SqlError::new(format!("`{name}` has failed, and no checkpoints are taken"))
                .hint("DROP it and create it again"));
        }
        let plan = failed.plan.clone();
        let mut prepared = self.compile(plan, &|relation| self.reference(state, &HashMap::new(), relation))?;
        let mut origin = self.origin(&mut prepared, false, self.clock.now())?;
        let writer = origin.as_mut().map(|origin| self.claim(origin, &prepared)).transpose()?.flatten();
        if let Some(failed) = state.queries.remove(name) {
            if let Some(writer) = &failed.writer {
                writer.abort();
            }
            if let (Some(table), Some(new)) = (failed.table, &mut prepared.table) {
                table.adopt(new)?;
                *new = table;
            }
        }
        let mut started = Vec::new();
        self.start_query(state, prepared, origin.zip(writer), name.to_owned(), &mut started)?;
        self.start_readers(state, &started)
    }

    /// Stops a query at a checkpoint and gives its state to the one that replaces it.
    fn take_over(&self, name: &str, starting: &mut Starting) -> Result<(), SqlError> {
        self.runtime.block_on(self.last_checkpoint(name))?;
        let mut former_table = None;
        let mut state = self.lock();
        if let Some(former) = state.queries.remove(name) {
            self.leave_lanes(&mut state, former.id, false);
            former_table = former.table;
        }
        drop(state);
        starting.origin = self.origin(&mut starting.prepared, false, self.clock.now())?;
        starting.claim(self)?;
        // Who reads the table goes on reading it.
        if let (Some(table), Some(new)) = (former_table, &mut starting.prepared.table)
            && table.is_like(new)
        {
            table.adopt(new)?;
            *new = table;
        }
        Ok(())
    }
}

/// The name under which a query runs until it has caught up with the one it replaces.
pub(crate) fn successor(name: &str) -> String {
    format!("{name} (replacement)")
}

fn supersede(steps: &mut [(usize, Step)], by: &Starting) {
    for (_, step) in steps.iter_mut() {
        if let Step::Start(earlier) = step
            && earlier.prepared.plan.name == by.prepared.plan.name
        {
            let (statement, name) = (earlier.statement.clone(), earlier.prepared.plan.name.clone());
            *step = Step::Done(Outcome::Created { statement, kind: "query", name });
        }
    }
}

/// What is wrong with an effect although the catalog has all it names.
pub(crate) fn refuse(state: &Running, effect: &Effect) -> Result<(), SqlError> {
    match effect {
        Effect::Dropped { kind: "query", name } | Effect::Alter { query: name, if_exists: false, .. }
            if !state.queries.contains_key(name) && !state.shared.contains_key(name) =>
        {
            Err(no_query(state, name))
        }
        Effect::Dropped { name, .. } if name.ends_with(&successor("")) => {
            let of = name.trim_end_matches(&successor(""));
            Err(SqlError::new(format!("`{name}` is on its way to take the place of `{of}`")).hint(format!(
                "DROP `{of}` to drop both, or CREATE OR REPLACE it once more when this one has caught up"
            )))
        }
        _ => Ok(()),
    }
}

fn no_query(state: &Running, name: &str) -> SqlError {
    let names: Vec<String> = state.infos().into_iter().map(|query| query.name).collect();
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
