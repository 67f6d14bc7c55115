//! The table of all connectors, and what makes sources, decoders and sinks of declared tables.

use millstream_core::{Connectors, Decoder, OptionError, OptionReader, Roles, Sink, Source, TableDecl};

use crate::{Context, formats, sinks, sources};

type MakeSink = fn(&Request<'_>, &str) -> Result<Box<dyn Sink>, OptionError>;

/// A connector by its name in `'connector' = '…'`. Nothing here does I/O.
pub(crate) struct Connector {
    pub(crate) name: &'static str,
    /// Reads every option the connector knows, and says what it can do with the table.
    pub(crate) check: fn(&Request<'_>) -> Result<Roles, OptionError>,
    /// Makes a reader; called only where `check` said that there is one.
    pub(crate) source: fn(&Request<'_>) -> Result<Box<dyn Source>, OptionError>,
    /// Makes a writer for the query of this name; called only where `check` said that there is one.
    pub(crate) sink: MakeSink,
}

/// A table that asks for its connector.
pub(crate) struct Request<'a> {
    pub(crate) table: &'a TableDecl,
    pub(crate) options: &'a OptionReader<'a>,
    pub(crate) context: &'a Context,
}

/// Every connector there is.
const CONNECTORS: &[Connector] = &[
    sources::stream::CONNECTOR,
    sources::kinesis::CONNECTOR,
    sources::filesystem::CONNECTOR,
    sources::generator::CONNECTOR,
    sinks::print::CONNECTOR,
    sinks::blackhole::CONNECTOR,
];

/// Options of every source table that the engine reads and connectors only let pass.
const ENGINE_OPTIONS: [&str; 4] = [
    "scan.watermark.idle-timeout",
    "scan.watermark.idle-policy",
    "scan.watermark.max-future-skew",
    "scan.watermark.max-drift",
];

/// Makes sources, decoders and sinks by the two tables: of connectors here, of formats in [`formats::FORMATS`].
pub struct Registry {
    context: Context,
}

impl Registry {
    /// A registry whose connectors use this context.
    pub fn new(context: Context) -> Self {
        Self { context }
    }

    fn with<T>(
        &self,
        table: &TableDecl,
        work: impl FnOnce(&Connector, &Request<'_>) -> Result<T, OptionError>,
    ) -> Result<T, OptionError> {
        let options = table.options.reader();
        let connector = find(&options)?;
        work(connector, &Request { table, options: &options, context: &self.context })
    }
}

impl Connectors for Registry {
    fn check(&self, table: &TableDecl) -> Result<Roles, OptionError> {
        self.with(table, |connector, request| {
            for key in ENGINE_OPTIONS {
                let _ = request.options.get(key);
            }
            let roles = (connector.check)(request)?;
            request.options.finish()?;
            Ok(roles)
        })
    }

    fn source(&self, table: &TableDecl) -> Result<Box<dyn Source>, OptionError> {
        if self.check(table)?.source.is_none() {
            return Err(cannot(table, "be read"));
        }
        self.with(table, |connector, request| (connector.source)(request))
    }

    fn decoder(&self, table: &TableDecl) -> Result<Box<dyn Decoder>, OptionError> {
        let options = table.options.reader();
        (formats::of_table(&options)?.decoder)(table, &options)
    }

    fn sink(&self, table: &TableDecl, query: &str) -> Result<Box<dyn Sink>, OptionError> {
        if !self.check(table)?.sink {
            return Err(cannot(table, "be written to"));
        }
        self.with(table, |connector, request| (connector.sink)(request, query))
    }
}

/// The connector a table names.
fn find(options: &OptionReader<'_>) -> Result<&'static Connector, OptionError> {
    let names: Vec<_> = CONNECTORS.iter().map(|connector| connector.name).collect();
    let Some(name) = options.one_of("connector", &names)? else {
        let message = format!("is required; give one of {}", names.join(", "));
        return Err(OptionError::new("connector", message));
    };
    let found = CONNECTORS.iter().find(|connector| connector.name == name);
    found.ok_or_else(|| OptionError::new("connector", format!("`{name}` is unknown")))
}

fn cannot(table: &TableDecl, what: &str) -> OptionError {
    let connector = table.options.get("connector").unwrap_or_default();
    OptionError::new("connector", format!("table `{}` with connector '{connector}' cannot {what}", table.name))
}

/// For the `source` of connectors that have none.
pub(crate) fn no_source(request: &Request<'_>) -> Result<Box<dyn Source>, OptionError> {
    Err(cannot(request.table, "be read"))
}

/// For the `sink` of connectors that have none.
pub(crate) fn no_sink(request: &Request<'_>, _: &str) -> Result<Box<dyn Sink>, OptionError> {
    Err(cannot(request.table, "be written to"))
}
