//! The table of all connectors, and what makes sources, decoders, sinks and reference tables of declared ones.

use millstream_core::{
    Connectors, Decoder, Leases, OptionError, OptionReader, Reference, Roles, Sink, Source, TableDecl,
};

use crate::formats::Format;
use crate::{Context, sinks, sources, transforms};

type MakeSink = fn(&Request<'_>, &str) -> Result<Box<dyn Sink>, OptionError>;

/// A connector by its name in `'connector' = '…'`. Nothing here does I/O.
pub(crate) struct Connector {
    pub(crate) name: &'static str,
    /// The format of its records.
    pub(crate) format: fn(&OptionReader<'_>) -> Result<&'static Format, OptionError>,
    /// Reads every option the connector knows, and says what it can do with the table.
    pub(crate) check: fn(&Request<'_>) -> Result<Roles, OptionError>,
    /// Makes a reader; called only where `check` said that there is one.
    pub(crate) source: fn(&Request<'_>) -> Result<Box<dyn Source>, OptionError>,
    /// Makes a writer for the query of this name; called only where `check` said that there is one.
    pub(crate) sink: MakeSink,
    /// Makes a reader of the whole table; called only where `check` said that there is one.
    pub(crate) reference: fn(&Request<'_>) -> Result<Box<dyn Reference>, OptionError>,
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
    sources::nexmark::CONNECTOR,
    sinks::print::CONNECTOR,
    sinks::blackhole::CONNECTOR,
    sinks::firehose::CONNECTOR,
    sinks::lambda::CONNECTOR,
];

/// Connectors whose records may be transformed: those of streams.
const TRANSFORMED: [&str; 2] = ["stream", "kinesis"];

/// Makes sources, decoders, sinks and references by the two tables: of connectors here, of formats in [`formats::FORMATS`].
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

impl Registry {
    /// Makes the embedded stream that a table names, if it names one and there is none yet. A reader would do so too, a
    /// moment later; who has declared a table may send records at once.
    pub async fn ensure_stream(&self, table: &TableDecl) -> Result<(), OptionError> {
        let Some(store) = &self.context.store else { return Ok(()) };
        let named = self.with(table, |connector, request| match connector.name {
            "stream" => sources::stream::read(request).map(Some),
            "kinesis" => sources::kinesis::embedded(request),
            _ => Ok(None),
        })?;
        match named {
            None => Ok(()),
            Some(stream) => stream.ensure(store).await.map(|_| ()).map_err(|error| {
                OptionError::new("stream", format!("the stream `{}` cannot be made: {error}", stream.name))
            }),
        }
    }
}

impl Connectors for Registry {
    fn check(&self, table: &TableDecl) -> Result<Roles, OptionError> {
        self.with(table, |connector, request| {
            let roles = (connector.check)(request)?;
            if TRANSFORMED.contains(&connector.name) {
                transforms::check(request)?;
            }
            // For formats: a connector that has none, such as `print`, takes it too, as tables of applications have it.
            request.options.get("kda.types");
            request.options.finish()?;
            Ok(roles)
        })
    }

    fn source(&self, table: &TableDecl) -> Result<Box<dyn Source>, OptionError> {
        let roles = self.check(table)?;
        if roles.source.is_none() {
            let instead = "be read record by record; join a stream with it, as a reference table";
            return Err(cannot(table, if roles.lookup { instead } else { "be read" }));
        }
        self.with(table, |connector, request| {
            let source = (connector.source)(request)?;
            if TRANSFORMED.contains(&connector.name) { transforms::around(request, source) } else { Ok(source) }
        })
    }

    fn decoder(&self, table: &TableDecl) -> Result<Box<dyn Decoder>, OptionError> {
        let options = table.options.reader();
        ((find(&options)?.format)(&options)?.decoder)(table, &options)
    }

    fn sink(&self, table: &TableDecl, query: &str) -> Result<Box<dyn Sink>, OptionError> {
        if !self.check(table)?.sink {
            return Err(cannot(table, "be written to"));
        }
        self.with(table, |connector, request| (connector.sink)(request, query))
    }

    fn reference(&self, table: &TableDecl) -> Result<Box<dyn Reference>, OptionError> {
        if !self.check(table)?.lookup {
            return Err(cannot(table, NO_REFERENCE));
        }
        self.with(table, |connector, request| (connector.reference)(request))
    }

    fn leases(&self, table: &TableDecl) -> Result<Option<Box<dyn Leases>>, OptionError> {
        let leases = self.with(table, |connector, request| match connector.name {
            "kinesis" => sources::kinesis::leases(request),
            _ => Ok(None),
        })?;
        Ok(leases.map(|leases| Box::new(leases) as Box<dyn Leases>))
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

const NO_REFERENCE: &str = "be read as a whole; reference tables have connector 'filesystem'";

/// For the `reference` of connectors that have none.
pub(crate) fn no_reference(request: &Request<'_>) -> Result<Box<dyn Reference>, OptionError> {
    Err(cannot(request.table, NO_REFERENCE))
}

/// For the `source` of connectors that have none.
pub(crate) fn no_source(request: &Request<'_>) -> Result<Box<dyn Source>, OptionError> {
    Err(cannot(request.table, "be read"))
}

/// For the `sink` of connectors that have none.
pub(crate) fn no_sink(request: &Request<'_>, _: &str) -> Result<Box<dyn Sink>, OptionError> {
    Err(cannot(request.table, "be written to"))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use arrow::array::{Int64Array, RecordBatch};
    use bytes::Bytes;
    use millstream_core::{Boundedness, Emission, EventTime, Offset, Offsets, Resume, ShardId, SourceError, Start};

    use super::*;
    use crate::testing::{StepClock, collect, payloads};
    use crate::{Replay, ReplayPlan};

    fn rows() -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1, 2])) as _)]).unwrap()
    }

    fn table(options: &[(&str, &str)]) -> TableDecl {
        let options = options.iter().copied().collect();
        TableDecl { name: "t".into(), schema: rows().schema(), primary_key: vec![], options }
    }

    fn context() -> Context {
        Context::new(Arc::new(StepClock::at(0)))
    }

    #[test]
    fn what_is_wrong_is_named() {
        let registry = Registry::new(context());
        for (options, error) in [
            (
                &[][..],
                "option 'connector': is required; give one of stream, kinesis, filesystem, generator, nexmark, print, blackhole, firehose, lambda",
            ),
            (&[("connector", "kafka")], "option 'connector': `kafka` given, expected one of stream, kinesis"),
            (
                &[("connector", "filesystem"), ("path", "/in")],
                "option 'format': is required; give one of json, csv, raw",
            ),
            (&[("connector", "filesystem"), ("format", "json")], "option 'path': is required"),
            (
                &[("connector", "filesystem"), ("path", "/in"), ("fromat", "json"), ("format", "json")],
                "option 'fromat': is unknown here; the nearest known option is 'format'",
            ),
            (&[("connector", "print"), ("path", "/out")], "option 'path': is unknown here"),
            (&[("connector", "stream"), ("format", "json")], "option 'connector': there is no embedded stream here"),
        ] {
            let found = registry.check(&table(options)).unwrap_err().to_string();
            assert!(found.starts_with(error), "{found}");
        }
        registry.check(&table(&[("connector", "print"), ("kda.types", "INTEGER")])).unwrap();
        let print = table(&[("connector", "print")]);
        let unreadable = registry.source(&print).err().unwrap().to_string();
        assert_eq!(unreadable, "option 'connector': table `t` with connector 'print' cannot be read");
        let object = table(&[("connector", "filesystem"), ("path", "s3://bucket/key"), ("format", "json")]);
        let no_stream = registry.source(&object).err().unwrap().to_string();
        assert!(no_stream.ends_with("join a stream with it, as a reference table"), "{no_stream}");
        let no_reference = registry.reference(&print).err().unwrap().to_string();
        assert!(no_reference.ends_with("reference tables have connector 'filesystem'"), "{no_reference}");
    }

    #[test]
    fn roles_follow_from_connector_and_format() {
        let registry = Registry::new(context());
        let roles = |options: &[(&str, &str)]| registry.check(&table(options)).unwrap();
        let files = |format| roles(&[("connector", "filesystem"), ("path", "/in"), ("format", format)]);
        assert_eq!(files("json"), Roles { source: Some(Boundedness::Bounded), sink: true, lookup: true });
        assert_eq!(files("parquet"), Roles { source: None, sink: true, lookup: true });
        let object = [("connector", "filesystem"), ("path", "s3://bucket/key"), ("format", "csv")];
        assert_eq!(roles(&object), Roles { source: None, sink: false, lookup: true });
        assert_eq!(roles(&[("connector", "blackhole")]), Roles { source: None, sink: true, lookup: false });
        let generator = [("connector", "generator"), ("format", "json")];
        assert_eq!(roles(&generator), Roles { source: Some(Boundedness::Unbounded), sink: false, lookup: false });
    }

    #[tokio::test]
    async fn a_replay_stands_in_for_streams_by_their_name() {
        let content = Bytes::from_static(
            b"{\"stream\":\"s\",\"arrival\":0,\"data\":{\"n\":1}}\n{\"stream\":\"t\",\"arrival\":0,\"data\":{\"n\":2}}",
        );
        let replay = Some(Arc::new(Replay::parse(&content, ReplayPlan::default()).unwrap()));
        let registry = Registry::new(Context { replay, ..context() });
        let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/s";
        for (options, expected) in [
            (&[("connector", "stream"), ("format", "json")][..], r#"{"n":2}"#),
            (
                &[("connector", "kinesis"), ("format", "json"), ("stream", "s"), ("aws.region", "eu-west-1")],
                r#"{"n":1}"#,
            ),
            (&[("connector", "kinesis"), ("format", "json"), ("stream.arn", arn)], r#"{"n":1}"#),
        ] {
            let table = table(options);
            assert_eq!(registry.check(&table).unwrap().source, Some(Boundedness::Bounded));
            let events = collect(registry.source(&table).unwrap(), Offsets::default()).await.unwrap();
            assert_eq!(payloads(&events)["shardId-000000000000"], [expected]);
        }
    }

    #[tokio::test]
    async fn print_writes_a_line_a_row() {
        let printed = Arc::new(Mutex::new(Vec::new()));
        let registry = Registry::new(Context { printer: printed.clone(), ..context() });
        let mut sink = registry.sink(&table(&[("connector", "print")]), "q").unwrap();
        sink.write(&Emission { rows: rows(), window: None }).await.unwrap();
        sink.finish().await.unwrap();
        let expected = "{\"table\":\"t\",\"row\":{\"n\":1}}\n{\"table\":\"t\",\"row\":{\"n\":2}}\n";
        assert_eq!(String::from_utf8(printed.lock().unwrap().clone()).unwrap(), expected);
    }

    #[tokio::test]
    async fn files_are_read_to_their_end_and_resumed() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in
            [("b.json", "{\"n\":3}\n"), ("a.json", "{\"n\":1}\n\n{\"n\":2}"), (".hidden", "x"), ("_SUCCESS", "")]
        {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let path = folder.path().display().to_string();
        let table = table(&[("connector", "filesystem"), ("format", "json"), ("path", &path)]);
        let registry = Registry::new(context());
        let events = collect(registry.source(&table).unwrap(), Offsets::default()).await.unwrap();
        let read: Vec<_> = payloads(&events).into_values().flatten().map(|record| record.trim().to_owned()).collect();
        assert_eq!(read, [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]);
        let rest = collect(registry.source(&table).unwrap(), crate::testing::offsets(&events)).await.unwrap();
        assert_eq!(payloads(&rest).len(), 0);

        std::fs::write(folder.path().join("c.csv"), "n\n7\n").unwrap();
        let file = folder.path().join("c.csv").display().to_string();
        let options = [("connector", "filesystem"), ("format", "csv"), ("path", file.as_str()), ("csv.header", "true")];
        let source = registry.source(&self::table(&options)).unwrap();
        let events = collect(source, Offsets::default()).await.unwrap();
        assert_eq!(payloads(&events)[&file], ["7\n"]);
        let table = &self::table(&options);
        for (start, given) in [(Start::Latest, "LATEST"), (Start::At(EventTime(1)), "a time")] {
            let resume = Resume { start: Some(start), ..Resume::default() };
            let error = collect(registry.source(table).unwrap(), resume).await.unwrap_err().to_string();
            assert!(error.contains(&format!("cannot be read from {given}")), "{error}");
        }
        for (shard, position, words) in [(&file, 9, "the file has 4 bytes only"), (&path, 1, "the file is gone")] {
            let resume: Offsets = [(ShardId::from(shard.as_str()), Offset::from(position))].into_iter().collect();
            let error = collect(registry.source(table).unwrap(), resume).await.unwrap_err();
            assert!(matches!(error, SourceError::Position { .. }), "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
        let missing = [("connector", "filesystem"), ("format", "json"), ("path", "/no/such/folder")];
        let error = collect(registry.source(&self::table(&missing)).unwrap(), Offsets::default()).await.unwrap_err();
        assert_eq!(error.to_string(), "`/no/such/folder` does not exist: option 'path' must name a file or a folder");
    }
}
