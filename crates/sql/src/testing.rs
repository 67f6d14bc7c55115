//! A catalog without connectors: scripts are planned, and nothing can be run.

use std::sync::Arc;

use millstream_core::{
    Boundedness, BoxFuture, Clock, Connectors, Decoder, Duration, EventTime, OptionError, Reference, Roles, Sink,
    Source, TableDecl,
};

use crate::{Catalog, ContinuousQuery, Effect, Session, SqlError, apply, parse};

/// Takes any table: `sink` and `file` are what they say, the rest are streams.
struct Unconnected;

impl Connectors for Unconnected {
    fn check(&self, table: &TableDecl) -> Result<Roles, OptionError> {
        let connector = table.options.get("connector").unwrap_or_default();
        let is_stream = !matches!(connector, "sink" | "file");
        let source = is_stream.then_some(Boundedness::Unbounded);
        Ok(Roles { source, sink: connector == "sink", lookup: connector == "file" })
    }

    fn source(&self, _: &TableDecl) -> Result<Box<dyn Source>, OptionError> {
        Err(OptionError::new("connector", "there is nothing to read"))
    }

    fn decoder(&self, _: &TableDecl) -> Result<Box<dyn Decoder>, OptionError> {
        Err(OptionError::new("format", "there is nothing to read"))
    }

    fn sink(&self, _: &TableDecl, _: &str) -> Result<Box<dyn Sink>, OptionError> {
        Err(OptionError::new("connector", "there is nothing to write to"))
    }

    fn reference(&self, _: &TableDecl) -> Result<Box<dyn Reference>, OptionError> {
        Err(OptionError::new("connector", "there is nothing to read"))
    }
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> EventTime {
        EventTime(0)
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A session whose clock stands still.
pub(crate) fn session() -> Result<Session, SqlError> {
    Session::new(Arc::new(Stopped))
}

/// A script's effects, in a session of its own.
pub(crate) fn effects(script: &str) -> Result<Vec<Effect>, SqlError> {
    effects_in(&mut Catalog::default(), script)
}

/// A script's effects on a catalog.
pub(crate) fn effects_in(catalog: &mut Catalog, script: &str) -> Result<Vec<Effect>, SqlError> {
    let session = session()?;
    parse(script)?.iter().map(|statement| apply(&session, &Unconnected, catalog, statement)).collect()
}

/// The continuous queries of a script.
pub(crate) fn queries(script: &str) -> Result<Vec<ContinuousQuery>, SqlError> {
    let of = |effect| match effect {
        Effect::Query(query) => Some(query),
        _ => None,
    };
    Ok(effects(script)?.into_iter().filter_map(of).collect())
}
