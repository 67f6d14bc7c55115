//! CREATE MATERIALIZED VIEW and INSERT INTO: what is to run, under which name, with which options and settings.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast;
use millstream_core::{Duration, OptionError, Options, WindowSpec};

use crate::catalog::{MaterializedView, Relation, Table, is_final_field};
use crate::create_table::option_error;
use crate::effect::{Applier, Effect, refuse_itself};
use crate::parse::settings::{self, InForce};
use crate::parse::{CreateMaterializedView, Name, StartFrom, WithOption};
use crate::pipeline::{Operator, Pipeline};
use crate::plan::{Purpose, SinkColumn, plan_query};
use crate::session::Reading;
use crate::{SqlError, type_name};

/// A query that runs on.
#[derive(Clone, Debug)]
pub struct ContinuousQuery {
    pub name: String,
    /// The statement as it was written.
    pub sql: String,
    /// The statement as a script that makes the same query when it is read again, alone or among others: with the SETs
    /// that it needs, an INSERT's name among them.
    pub definition: String,
    /// Where it begins; `None`: nothing was said.
    pub start: Option<StartFrom>,
    /// It takes the place of the query of this name: OR REPLACE was said, and there is one.
    pub replaces: bool,
    pub settings: QuerySettings,
    pub pipeline: Arc<Pipeline>,
    pub target: Target,
    /// Every relation it reads, views included.
    pub reads: Vec<String>,
}

/// How a query is run, whatever it computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuerySettings {
    /// How often checkpoints are taken; `None`: as is configured.
    pub checkpoint_interval: Option<Duration>,
    /// How many groups, keys or rows its state may have before it takes no more input; `None`: as is configured.
    pub max_groups: Option<u64>,
}

/// Where a query's rows go.
#[derive(Clone, Debug)]
pub enum Target {
    /// A live table with the query's name.
    LiveTable { schema: SchemaRef, settings: LiveTableSettings },
    /// A sink table.
    Sink(Arc<Table>),
    /// Whoever asked, until `limit` rows were sent.
    Client { limit: Option<u64> },
}

/// The options of a materialized view's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveTableSettings {
    /// Rows of windows that ended this long before the watermark, or append-only rows this old, go. `None`: never.
    pub retention: Option<Duration>,
    /// The oldest rows go beyond this many.
    pub max_rows: usize,
    /// How often open windows are shown; `None`: final rows only.
    pub refresh: Option<Duration>,
    /// Keys of an updating table, and running values of OVER, that have not changed for this long go.
    pub ttl: Option<Duration>,
    /// Rows this late for a window still change its result.
    pub lateness: Duration,
}

/// A live table keeps at most this many rows unless `max-rows` says otherwise.
const DEFAULT_MAX_ROWS: usize = 1_000_000;
/// How often open windows are shown at the most, unless `refresh-interval` says otherwise.
const DEFAULT_REFRESH: Duration = Duration(10);

impl Applier<'_> {
    pub(crate) fn create_materialized_view(&mut self, view: &CreateMaterializedView) -> Result<Effect, SqlError> {
        let CreateMaterializedView { name, options, start, query, or_replace, if_not_exists } = view;
        let existing = match self.catalog.get(&name.text) {
            Some(Relation::MaterializedView(existing)) => Some(Arc::clone(existing)),
            _ => None,
        };
        if *if_not_exists && existing.is_some() {
            return Ok(Effect::Existed { kind: "query", name: name.text.clone() });
        }
        let (live, own) = view_settings(options).map_err(|error| option_error(&error, options, name.at))?;
        let purpose = Purpose::LiveTable { ttl: live.ttl };
        let (pipeline, reads) = plan_query(self.session, self.catalog, query, &purpose)?;
        let pipeline = Arc::new(pipeline);
        refuse_idle_options(options, &pipeline)?;
        let schema = live_table_schema(name, &pipeline)?;
        let relation = Relation::MaterializedView(Arc::new(MaterializedView {
            name: name.text.clone(),
            query: query.clone(),
            pipeline: Arc::clone(&pipeline),
            schema: Arc::clone(&schema),
        }));
        let replaced = existing.filter(|_| *or_replace);
        match &replaced {
            Some(former) => {
                refuse_itself(name, &reads)?;
                self.refuse_other_columns(name, &former.schema, &schema)?;
                self.catalog.replace(&name.text, relation);
            }
            None => self.catalog.insert(name, relation)?,
        }
        self.catalog.set_reads(&name.text, reads.clone());
        let given = &self.statement.settings;
        let settings = QuerySettings {
            checkpoint_interval: own.checkpoint_interval.or(given.checkpoint_interval),
            max_groups: own.max_groups.or(given.max_groups),
        };
        Ok(Effect::Query(ContinuousQuery {
            name: name.text.clone(),
            sql: self.statement.text.clone(),
            definition: self.definition(None),
            start: self.start(start.as_ref())?,
            replaces: replaced.is_some(),
            settings,
            pipeline,
            target: Target::LiveTable { schema, settings: live },
            reads,
        }))
    }

    /// What reads a view was planned for its columns.
    fn refuse_other_columns(&self, name: &Name, former: &Schema, now: &Schema) -> Result<(), SqlError> {
        let columns = |schema: &Schema| -> Vec<String> {
            let column = |field: &FieldRef| format!("{} {}", field.name(), type_name(field.data_type()));
            schema.fields().iter().map(column).collect()
        };
        let (former, now) = (columns(former), columns(now));
        let readers = self.catalog.readers(&name.text);
        if readers.is_empty() || former == now {
            return Ok(());
        }
        let message = format!("`{}` is read by {} and would have other columns", name.text, readers.join(", "));
        let hint = format!("keep the columns ({}), or drop what reads them first", former.join(", "));
        Err(SqlError::new(message).at(name.at).hint(hint))
    }

    pub(crate) fn insert(
        &mut self,
        name: &Name,
        listed: &[Name],
        start: Option<&StartFrom>,
        query: &ast::Query,
    ) -> Result<Effect, SqlError> {
        let relation = self.catalog.require(&name.text).map_err(|error| error.at(name.at))?;
        let table =
            match relation {
                Relation::Table(table) if table.roles.sink => Arc::clone(table),
                Relation::Table(_) => {
                    return Err(SqlError::new(format!("`{}` can only be read: its connector is a source", name.text))
                        .at(name.at));
                }
                other => {
                    return Err(SqlError::new(format!("`{}` is a {} and cannot be written", name.text, other.kind()))
                        .at(name.at));
                }
            };
        let (plan, _) = self.session.bind(self.catalog, Reading::Continuous, query.clone())?;
        let columns = sink_columns(&table, listed, plan.schema().fields().len()).map_err(|error| error.at(name.at))?;
        let purpose = Purpose::Sink { name: name.text.clone(), columns };
        let (pipeline, mut reads) = plan_query(self.session, self.catalog, query, &purpose)?;
        reads.push(name.text.clone());
        let given = &self.statement.settings;
        let query_name = match &given.name {
            Some(given) if self.catalog.is_taken(&given.text) => {
                let message = format!("setting '{}': there is a `{}` already", settings::NAME, given.text);
                return Err(SqlError::new(message).at(given.at).hint("choose another name, or DROP QUERY it first"));
            }
            Some(given) => given.text.clone(),
            None => self.catalog.free_query_name(&format!("insert_into_{}", name.text.replace('.', "_"))),
        };
        self.catalog.set_reads(&query_name, reads.clone());
        reads.pop();
        Ok(Effect::Query(ContinuousQuery {
            definition: self.definition(Some(&query_name)),
            name: query_name,
            sql: self.statement.text.clone(),
            start: self.start(start)?,
            replaces: false,
            settings: QuerySettings { checkpoint_interval: given.checkpoint_interval, max_groups: given.max_groups },
            pipeline: Arc::new(pipeline),
            target: Target::Sink(table),
            reads,
        }))
    }

    /// Where the query begins, by its START FROM or by the setting.
    fn start(&self, clause: Option<&StartFrom>) -> Result<Option<StartFrom>, SqlError> {
        match (clause, &self.statement.settings.savepoint) {
            (Some(_), Some(set)) => {
                let message = format!("START FROM and SET '{}' both say where the query begins", settings::SAVEPOINT);
                Err(SqlError::new(message).at(set.at).hint("leave one of them out"))
            }
            (None, Some(set)) => Ok(Some(StartFrom::Savepoint(set.text.clone()))),
            (clause, None) => Ok(clause.cloned()),
        }
    }

    /// The statement with the SETs that it needs, and RESETs, so that it says nothing about what is read after it.
    fn definition(&self, name: Option<&str>) -> String {
        let InForce { checkpoint_interval, savepoint, max_groups, .. } = &self.statement.settings;
        let once = [
            (settings::NAME, name.map(settings::written)),
            (settings::SAVEPOINT, savepoint.as_ref().map(|savepoint| savepoint.text.clone())),
        ];
        let lasting = [
            (settings::CHECKPOINT_INTERVAL, checkpoint_interval.map(|interval| format!("{} ms", interval.0))),
            (settings::MAX_GROUPS, max_groups.map(|most| most.to_string())),
        ];
        let resets = lasting.iter().filter(|(_, value)| value.is_some());
        let resets: Vec<String> = resets.map(|(key, _)| settings::reset_statement(key)).collect();
        let sets = once.into_iter().chain(lasting);
        let sets = sets.filter_map(|(key, value)| Some(settings::set_statement(key, &value?)));
        sets.chain([self.statement.text.clone()]).chain(resets).collect::<Vec<_>>().join("; ")
    }
}

/// The options of a materialized view: those of its table, and those of its query.
fn view_settings(options: &[WithOption]) -> Result<(LiveTableSettings, QuerySettings), OptionError> {
    let options: Options = options.iter().map(|option| (option.key.as_str(), option.value.as_str())).collect();
    let reader = options.reader();
    let retention = reader.duration("retention")?;
    let max_rows = reader.parse("max-rows", "a number of rows")?.unwrap_or(DEFAULT_MAX_ROWS);
    let ttl = reader.duration("ttl")?;
    let refresh = reader.duration("refresh-interval")?.unwrap_or(DEFAULT_REFRESH);
    let lateness = reader.duration("allowed-lateness")?.unwrap_or_default();
    let only_final = reader.one_of("emit", &["final", "live"])? == Some("final");
    let checkpoint_interval = settings::checkpoint_interval(&reader, "checkpoint-interval")?;
    let max_groups = settings::max_groups(&reader, settings::MAX_GROUPS)?;
    reader.finish()?;
    let live = LiveTableSettings { retention, max_rows, refresh: (!only_final).then_some(refresh), ttl, lateness };
    Ok((live, QuerySettings { checkpoint_interval, max_groups }))
}

/// The query's columns, and `is_final` where there are windows.
fn live_table_schema(name: &Name, pipeline: &Pipeline) -> Result<SchemaRef, SqlError> {
    let mut fields: Vec<FieldRef> = pipeline.schema.fields().iter().cloned().collect();
    for (index, field) in fields.iter().enumerate() {
        if fields[..index].iter().any(|earlier| earlier.name() == field.name()) {
            return Err(SqlError::new(format!("the query has two columns named `{}`", field.name()))
                .at(name.at)
                .hint("give one of them another name with AS"));
        }
    }
    if pipeline.window().is_some() {
        fields.push(Arc::new(is_final_field()));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// An option that this kind of query would ignore is a misunderstanding.
fn refuse_idle_options(options: &[WithOption], pipeline: &Pipeline) -> Result<(), SqlError> {
    let find = |key: &str| options.iter().find(|option| option.key == key);
    if let (Some(option), Some(WindowSpec::Session { .. })) = (find("allowed-lateness"), pipeline.window()) {
        let error =
            SqlError::new("a session that has closed takes no more rows: 'allowed-lateness' is for other windows");
        return Err(error.at(option.at).hint("raise the watermark's delay, or the gap"));
    }
    if let Some(option) = find(settings::MAX_GROUPS)
        && pipeline.stages.iter().all(|stage| matches!(stage.operator, Operator::Rows))
    {
        let error = SqlError::new(format!("option '{}' means nothing for a query without state", option.key));
        return Err(error.at(option.at).hint("'max-rows' bounds the rows of its table"));
    }
    // The running values of an OVER, whatever comes after it.
    if let Some(option) = find("ttl")
        && !pipeline.is_updating()
        && !pipeline.stages.iter().any(|stage| matches!(&stage.operator, Operator::Over(over) if over.ttl.is_some()))
    {
        let what = if pipeline.window().is_some() { "a windowed table" } else { "an append-only table" };
        let error = SqlError::new(format!("option 'ttl' means nothing for {what}"));
        return Err(error.at(option.at).hint("'retention' and 'max-rows' bound its rows"));
    }
    let (idle, what, hint): (&[&str], _, _) = match (pipeline.is_updating(), pipeline.window().is_some()) {
        (true, _) => {
            (&["retention", "max-rows", "emit", "allowed-lateness"], "an updating table", "'ttl' bounds its keys")
        }
        (_, true) => return Ok(()),
        _ => (
            &["emit", "refresh-interval", "allowed-lateness"],
            "an append-only table",
            "'retention' and 'max-rows' bound its rows",
        ),
    };
    match options.iter().find(|option| idle.contains(&option.key.as_str())) {
        None => Ok(()),
        Some(option) => {
            Err(SqlError::new(format!("option '{}' means nothing for {what}", option.key)).at(option.at).hint(hint))
        }
    }
}

/// Which query column fills which column of the sink: by position, or as listed.
fn sink_columns(table: &Table, listed: &[Name], given: usize) -> Result<Vec<SinkColumn>, SqlError> {
    let physical: Vec<&FieldRef> = table.decl.schema.fields().iter().collect();
    let names = || physical.iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
    let expected = if listed.is_empty() { physical.len() } else { listed.len() };
    if given != expected {
        return Err(SqlError::new(format!("the query has {given} columns, `{}` takes {expected}", table.decl.name))
            .hint(format!("the columns are: {}", names())));
    }
    for name in listed {
        if !physical.iter().any(|field| field.name() == &name.text) {
            return Err(SqlError::new(format!("`{}` has no column `{}`", table.decl.name, name.text))
                .at(name.at)
                .hint(format!("the columns are: {}", names())));
        }
    }
    let from = |index: usize, field: &FieldRef| {
        if listed.is_empty() { Some(index) } else { listed.iter().position(|name| &name.text == field.name()) }
    };
    Ok((physical.iter().enumerate())
        .map(|(index, field)| SinkColumn { field: Arc::clone(field), from: from(index, field) })
        .collect())
}

#[cfg(test)]
mod tests;
