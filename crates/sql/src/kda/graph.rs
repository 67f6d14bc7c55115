//! The graph of an application: which streams its pumps fill, what reads them, and the native statements that do the
//! same.
//!
//! A stream becomes a view over its pumps, UNION ALL of what each inserts, so that several may fill one and a pump may
//! read what is declared further down. A table without columns takes the rows of the stream of its name: it is where an
//! output goes. Where a script has no outputs, the stream `DESTINATION_SQL_STREAM`, or else every stream that nothing
//! reads, is a table that can be looked at.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use datafusion::sql::sqlparser::tokenizer::{Location, TokenWithSpan};

use super::columns::{Column, ENVELOPE, ROWTIME, Value, native_type, quote, text};
use super::pump::{ROWTIME_SQL, TYPES_OPTION, assigned, column, listed, names, native_column, null, typed, visible};
use super::scope::{Known, Relation, Scope};
use super::select::Selects;
use super::statements::{Declared, Function, Kind, Name, Pump, Statement, Table};
use super::{Findings, Translated};
use crate::{Position, SqlError};

/// The stream that applications write their result to, unless they say otherwise.
const DESTINATION: &str = "DESTINATION_SQL_STREAM";
/// The stream of rows that could not be used.
const ERRORS: &str = "error_stream";
/// The columns of the error stream: name, type, and the native column.
const ERROR_COLUMNS: [(&str, &str); 7] = [
    ("ERROR_TIME", "TIMESTAMP(3)"),
    ("ERROR_LEVEL", "STRING"),
    ("ERROR_NAME", "STRING"),
    ("MESSAGE", "STRING"),
    ("DATA_ROWTIME", "TIMESTAMP(3)"),
    ("DATA_ROW", "STRING"),
    ("PUMP_NAME", "STRING"),
];
/// Connectors of tables that are streams of records.
const STREAMS: [&str; 3] = ["kinesis", "stream", "generator"];

/// What FROM can name, and the functions that the script defines.
#[derive(Debug, Default)]
pub(super) struct World {
    relations: Vec<Stored>,
    pub(super) functions: Vec<Function>,
    /// What has been asked for since this was last emptied.
    asked: RefCell<BTreeSet<String>>,
}

/// A relation as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) name: String,
    /// The native relation that has its rows.
    pub(super) view: String,
    pub(super) columns: Vec<Column>,
    pub(super) is_stream: bool,
    /// The configuration makes it: it has the columns of the records' envelopes.
    pub(super) is_input: bool,
}

impl World {
    /// The relation of this name; else without regard to case, and then `false`.
    pub(super) fn find(&self, name: &str) -> Option<(&Stored, bool)> {
        let exact = self.relations.iter().find(|stored| stored.name == name);
        let found = exact.map(|stored| (stored, true)).or_else(|| {
            self.relations.iter().find(|stored| stored.name.eq_ignore_ascii_case(name)).map(|stored| (stored, false))
        });
        if let Some((stored, _)) = found {
            self.asked.borrow_mut().insert(stored.name.clone());
        }
        found
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.relations.iter().map(|stored| stored.name.as_str()).collect()
    }
}

/// A stream on its way to a view.
#[derive(Debug)]
struct Node {
    name: Name,
    columns: Vec<Declared>,
    /// What each of its pumps inserts.
    parts: Vec<Part>,
    /// The streams that its pumps read.
    reads: BTreeSet<String>,
}

/// Puts all statements of a script into native ones, in an order in which each finds what it needs.
pub(super) fn translate(statements: Vec<Statement>, findings: &mut Findings) -> Vec<Translated> {
    let mut graph = Graph {
        world: World::default(),
        nodes: Vec::new(),
        read: BTreeSet::new(),
        queries: BTreeSet::new(),
        made: 0,
        findings,
    };
    graph.translate(statements)
}

/// What a pump inserts into a stream.
#[derive(Debug)]
struct Part {
    pump: String,
    sql: String,
    /// For an output, which does not go by the rows' time.
    untimed: Option<String>,
}

struct Graph<'a> {
    world: World,
    nodes: Vec<Node>,
    /// Everything that a query reads.
    read: BTreeSet<String>,
    /// The names of queries.
    queries: BTreeSet<String>,
    made: usize,
    findings: &'a mut Findings,
}

impl Graph<'_> {
    fn translate(&mut self, statements: Vec<Statement>) -> Vec<Translated> {
        let mut native = Vec::new();
        let mut outputs = Vec::new();
        let mut queries = Vec::new();
        for Statement { at, kind, windows } in statements {
            match kind {
                Kind::Function(function) => self.function(function, at, &mut native),
                Kind::Table(table) if table.columns.is_empty() => outputs.push((table, at)),
                Kind::Table(table) => self.table(&table, at, &mut native),
                Kind::Stream(stream) => self.stream(stream.name, stream.columns),
                Kind::Native(sql) => native.push(Translated { sql, at }),
                Kind::Pump(_) | Kind::View { .. } | Kind::Insert { .. } | Kind::Select(_) => {
                    queries.push(Statement { at, kind, windows });
                }
            }
        }
        let taken: BTreeSet<String> = outputs.iter().map(|(table, _)| table.name.text.clone()).collect();
        let has_inserts = queries.iter().any(|statement| matches!(statement.kind, Kind::Insert { .. }));
        self.rename_outputs(&taken, outputs.is_empty() && !has_inserts, &queries);
        let mut last = Vec::new();
        for statement in queries {
            self.query(statement, &mut native, &mut last);
        }
        for (table, at) in &outputs {
            self.output(table, *at, &mut last);
        }
        if outputs.is_empty() && !has_inserts {
            self.show(&mut last);
        }
        native.extend(self.views());
        native.extend(last);
        native
    }

    fn tell(&mut self, error: SqlError, at: Option<Position>) {
        self.findings.errors.push(error.at(at));
    }

    /// Runs a translation of queries, and notes what they read.
    fn selects<T>(
        &mut self,
        windows: &HashMap<Location, Vec<TokenWithSpan>>,
        run: impl FnOnce(&mut Selects<'_>) -> Result<T, SqlError>,
    ) -> Result<(T, BTreeSet<String>), SqlError> {
        self.world.asked.borrow_mut().clear();
        let mut selects = Selects {
            world: &self.world,
            findings: self.findings,
            windows,
            named_windows: Vec::new(),
            made: self.made,
        };
        let result = run(&mut selects);
        self.made = selects.made;
        let asked = std::mem::take(&mut *self.world.asked.borrow_mut());
        self.read.extend(asked.iter().cloned());
        Ok((result?, asked))
    }

    fn function(&mut self, function: Function, at: Option<Position>, native: &mut Vec<Translated>) {
        let known = function.parameters.iter().map(|(name, data_type)| Known {
            column: column(&Declared { name: name.text.clone(), data_type: *data_type, not_null: false }),
            sql: quote(&name.text),
            hidden: false,
        });
        let scope = Scope {
            alias: String::new(),
            relations: vec![Relation { name: function.name.text.clone(), columns: known.collect() }],
            rowtime: None,
        };
        let body = self.selects(&HashMap::new(), |selects| selects.value(&scope, &function.body));
        match body {
            Ok((Value { sql, .. }, _)) => {
                let parameters = function.parameters.iter();
                let listed: Vec<String> = parameters
                    .map(|(name, data_type)| format!("{} {}", quote(&name.text), native_type(&data_type.arrow())))
                    .collect();
                let nulls: Vec<String> =
                    function.parameters.iter().map(|(name, _)| format!("{} IS NULL", quote(&name.text))).collect();
                let assigned = format!("kda_assign({sql}, {})", text(&function.returns.to_string()));
                let body = if function.null_on_null && !nulls.is_empty() {
                    format!("CASE WHEN {} THEN NULL ELSE {assigned} END", nulls.join(" OR "))
                } else {
                    assigned
                };
                let name = quote(&function.name.text);
                let returns = native_type(&function.returns.arrow());
                let sql = format!("CREATE FUNCTION {name}({}) RETURNS {returns} RETURN {body}", listed.join(", "));
                native.push(Translated { sql, at });
                self.world.functions.push(function);
            }
            Err(error) => self.tell(error, at),
        }
    }

    /// A source, a reference table, or a table that INSERT writes.
    fn table(&mut self, table: &Table, at: Option<Position>, native: &mut Vec<Translated>) {
        let connector = table.options.iter().find(|(key, _)| key == "connector").map(|(_, value)| value.as_str());
        let is_stream = connector.is_some_and(|connector| STREAMS.contains(&connector));
        let mut columns: Vec<String> = table.columns.iter().map(native_column).collect();
        let mut options = typed(&table.options, &table.columns);
        if is_stream {
            let known = |name: &str| table.columns.iter().any(|column| column.name == name);
            let envelope = ENVELOPE.into_iter().filter(|(name, _)| !known(name)).map(|(name, key)| {
                let data_type = if key == "arrival-timestamp" { "TIMESTAMP(3)" } else { "STRING" };
                format!("{} {data_type} METADATA FROM '{key}' VIRTUAL", quote(name))
            });
            columns.extend(envelope);
            let time = quote(ROWTIME);
            columns.push(format!("{time} TIMESTAMP(3) METADATA FROM 'arrival-timestamp' VIRTUAL"));
            columns.push(format!("WATERMARK FOR {time} AS {time}"));
            // Time goes on by the clock where no records come.
            if !options.iter().any(|(key, _)| key == "scan.watermark.idle-policy") {
                options.push(("scan.watermark.idle-policy".to_owned(), "wallclock".to_owned()));
            }
        }
        let sql =
            format!("CREATE TABLE {} ({}) WITH ({})", quote(&table.name.text), columns.join(", "), listed(&options));
        native.push(Translated { sql, at });
        self.relation(
            Stored {
                name: table.name.text.clone(),
                view: table.name.text.clone(),
                columns: table.columns.iter().map(column).collect(),
                is_stream,
                is_input: is_stream,
            },
            table.name.at,
        );
    }

    fn relation(&mut self, stored: Stored, at: Option<Position>) {
        if self.world.relations.iter().any(|known| known.name == stored.name) {
            let error = SqlError::new(format!("{} is there already", quote(&stored.name)));
            return self.tell(error.hint("a stream is created once; several pumps may insert into it"), at);
        }
        self.world.relations.push(stored);
    }

    fn stream(&mut self, name: Name, columns: Vec<Declared>) {
        let stored = Stored {
            name: name.text.clone(),
            view: name.text.clone(),
            columns: columns.iter().map(column).collect(),
            is_stream: true,
            is_input: false,
        };
        self.relation(stored, name.at);
        self.nodes.push(Node { name, columns, parts: Vec::new(), reads: BTreeSet::new() });
    }

    /// Where a table has the name of a stream, or may have, the stream's view gets another.
    fn rename_outputs(&mut self, taken: &BTreeSet<String>, all: bool, queries: &[Statement]) {
        let views: BTreeSet<&str> = queries
            .iter()
            .filter_map(|statement| match &statement.kind {
                Kind::View { name, .. } => Some(name.text.as_str()),
                _ => None,
            })
            .collect();
        let names: BTreeSet<String> = self.world.relations.iter().map(|stored| stored.name.clone()).collect();
        for stored in &mut self.world.relations {
            let is_node = self.nodes.iter().any(|node| node.name.text == stored.name);
            if !is_node || !(all || taken.contains(&stored.name)) {
                continue;
            }
            stored.view = format!("{}__rows", stored.name);
            while names.contains(&stored.view) || views.contains(stored.view.as_str()) {
                stored.view.push('_');
            }
        }
    }

    fn query(&mut self, statement: Statement, native: &mut Vec<Translated>, last: &mut Vec<Translated>) {
        let Statement { at, kind, windows } = statement;
        let result = match kind {
            Kind::Pump(pump) => self.pump(&pump, at, &windows),
            Kind::View { name, query } => self.selects(&windows, |selects| selects.block(&query)).map(|(block, _)| {
                native.push(Translated { sql: format!("CREATE VIEW {} AS {}", quote(&name.text), block.sql), at });
                let stored = Stored {
                    name: name.text.clone(),
                    view: name.text.clone(),
                    columns: block.columns,
                    is_stream: block.is_stream,
                    is_input: false,
                };
                self.relation(stored, name.at);
            }),
            Kind::Insert { into, columns, query } => {
                self.selects(&windows, |selects| selects.block(&query)).map(|(block, _)| {
                    let named: Vec<String> = columns.iter().map(|name| quote(&name.text)).collect();
                    let named = if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) };
                    let sql = format!("INSERT INTO {}{named} {}", quote(&into.text), visible(&block));
                    last.push(Translated { sql, at });
                })
            }
            Kind::Select(query) => self.selects(&windows, |selects| selects.block(&query)).map(|(block, _)| {
                last.push(Translated { sql: visible(&block), at });
            }),
            _ => Ok(()),
        };
        if let Err(error) = result {
            self.tell(error, at);
        }
    }

    /// What a pump inserts, mapped by position and brought to the stream's types.
    fn pump(
        &mut self,
        pump: &Pump,
        at: Option<Position>,
        windows: &HashMap<Location, Vec<TokenWithSpan>>,
    ) -> Result<(), SqlError> {
        let name = &pump.into;
        let exact = self.nodes.iter().position(|node| node.name.text == name.text);
        let Some(place) =
            exact.or_else(|| self.nodes.iter().position(|node| node.name.text.eq_ignore_ascii_case(&name.text)))
        else {
            let streams: Vec<&str> = self.nodes.iter().map(|node| node.name.text.as_str()).collect();
            let error = SqlError::new(format!("{} inserts into {}, which is no stream", pump.name.text, name.text));
            return Err(error.at(name.at).hint(format!("CREATE STREAM makes one; there are {}", streams.join(", "))));
        };
        let (block, reads) = self.selects(windows, |selects| selects.block(&pump.query))?;
        if pump.stopped {
            let message = format!("{} is STOPPED: it is checked, and does not run", pump.name.text);
            self.findings.warnings.push(SqlError::new(message).at(at));
            return Ok(());
        }
        let node = &mut self.nodes[place];
        let sql = assigned(pump, &block, &block.sql, &node.columns)?;
        let untimed = block.untimed.as_ref().map(|rows| assigned(pump, &block, rows, &node.columns)).transpose()?;
        node.parts.push(Part { pump: pump.name.text.clone(), sql, untimed });
        node.reads.extend(reads);
        Ok(())
    }

    /// A table that takes a stream's rows.
    fn output(&mut self, table: &Table, at: Option<Position>, last: &mut Vec<Translated>) {
        let of = table.like.as_ref().unwrap_or(&table.name);
        let mut options = table.options.clone();
        if of.text.eq_ignore_ascii_case(ERRORS) {
            let columns: Vec<String> =
                ERROR_COLUMNS.iter().map(|(name, data_type)| format!("{} {data_type}", quote(name))).collect();
            let types = ERROR_COLUMNS.map(|(_, data_type)| if data_type == "STRING" { "VARCHAR" } else { "TIMESTAMP" });
            if options.iter().any(|(key, _)| key == "format") {
                options.push((TYPES_OPTION.to_owned(), types.join(";")));
            }
            // The service has a table of the stream's own name.
            let name = quote(&format!("{}__output", table.name.text));
            let sql = format!("CREATE TABLE {name} ({}) WITH ({})", columns.join(", "), listed(&options));
            last.push(Translated { sql, at });
            let lowered: Vec<String> =
                ERROR_COLUMNS.iter().map(|(name, _)| format!("{} AS {}", name.to_lowercase(), quote(name))).collect();
            let sql = format!("INSERT INTO {name} SELECT {} FROM {ERRORS}", lowered.join(", "));
            last.push(Translated { sql, at });
            return;
        }
        let Some(node) = self.nodes.iter().find(|node| node.name.text == of.text) else {
            let streams: Vec<&str> = self.nodes.iter().map(|node| node.name.text.as_str()).collect();
            let error = SqlError::new(format!(
                "{} takes the rows of the stream of its name, and there is none",
                quote(&of.text)
            ));
            let hint = format!("streams are {}, and {ERRORS}; a source needs its columns", streams.join(", "));
            return self.tell(error.hint(hint), of.at);
        };
        let columns: Vec<String> = node.columns.iter().map(native_column).collect();
        let options = typed(&options, &node.columns);
        let name = quote(&table.name.text);
        let sql = format!("CREATE TABLE {name} ({}) WITH ({})", columns.join(", "), listed(&options));
        let names = names(&node.columns);
        last.push(Translated { sql, at });
        // A query for each pump, of its name where there is none of it yet: errors say whose rows they are.
        for Part { pump, sql, untimed } in &node.parts {
            let part = untimed.as_ref().unwrap_or(sql);
            if self.queries.insert(pump.clone()) {
                last.push(Translated { sql: format!("SET 'pipeline.name' = {}", text(&quote(pump))), at });
            }
            last.push(Translated { sql: format!("INSERT INTO {name} SELECT {names} FROM ({part})"), at });
        }
    }

    fn view(&self, stream: &str) -> String {
        let stored = self.world.relations.iter().find(|stored| stored.name == stream);
        stored.map_or_else(|| stream.to_owned(), |stored| stored.view.clone())
    }

    /// What is shown where nothing says where rows go.
    fn show(&mut self, last: &mut Vec<Translated>) {
        let has_destination = self.nodes.iter().any(|node| node.name.text == DESTINATION);
        let shown: Vec<(String, String, Option<Position>)> =
            (self.nodes.iter())
                .filter(|node| {
                    if has_destination { node.name.text == DESTINATION } else { !self.read.contains(&node.name.text) }
                })
                .map(|node| (node.name.text.clone(), names(&node.columns), node.name.at))
                .collect();
        for (stream, names, at) in shown {
            let view = quote(&self.view(&stream));
            let sql = format!("CREATE MATERIALIZED VIEW {} AS SELECT {names} FROM {view}", quote(&stream));
            last.push(Translated { sql, at });
            self.read.insert(stream);
        }
    }

    /// The views of all streams that are read, each after those that it reads.
    fn views(&mut self) -> Vec<Translated> {
        let mut views = Vec::new();
        let mut done: BTreeMap<String, bool> = BTreeMap::new();
        for place in 0..self.nodes.len() {
            if !self.read.contains(&self.nodes[place].name.text) {
                continue;
            }
            if let Err(error) = self.add_view(place, &mut done, &mut views) {
                let at = self.nodes[place].name.at;
                self.tell(error, at);
                break;
            }
        }
        views
    }

    fn add_view(
        &mut self,
        place: usize,
        done: &mut BTreeMap<String, bool>,
        views: &mut Vec<Translated>,
    ) -> Result<(), SqlError> {
        let name = self.nodes[place].name.clone();
        match done.get(&name.text) {
            Some(true) => return Ok(()),
            Some(false) => {
                let error = SqlError::new(format!("the rows of {} come from itself", quote(&name.text)));
                return Err(error.hint("let one of its pumps insert into another stream"));
            }
            None => {}
        }
        done.insert(name.text.clone(), false);
        for read in self.nodes[place].reads.clone() {
            if let Some(other) = self.nodes.iter().position(|node| node.name.text == read) {
                self.add_view(other, done, views)?;
            }
        }
        done.insert(name.text.clone(), true);
        let node = &self.nodes[place];
        let query = if node.parts.is_empty() {
            self.findings
                .warnings
                .push(SqlError::new(format!("no pump inserts into {}", quote(&name.text))).at(name.at));
            let Some(input) = self.world.relations.iter().find(|stored| stored.is_input) else {
                let error = SqlError::new("the script has no input stream");
                return Err(error.hint(
                    "CREATE TABLE … WITH ('connector' = 'kinesis', …) makes one; `millstream kda convert` writes it",
                ));
            };
            let nulls = node.columns.iter().map(|column| format!("{} AS {}", null(column), quote(&column.name)));
            let nulls: Vec<String> = nulls.collect();
            format!("SELECT {}, {ROWTIME_SQL} FROM {} WHERE FALSE", nulls.join(", "), quote(&input.view))
        } else {
            node.parts.iter().map(|part| part.sql.as_str()).collect::<Vec<_>>().join(" UNION ALL ")
        };
        let sql = format!("CREATE VIEW {} AS {query}", quote(&self.view(&name.text)));
        views.push(Translated { sql, at: name.at });
        Ok(())
    }
}
