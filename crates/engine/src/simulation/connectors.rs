//! The edges of the simulated world as the engine asks for them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::SchemaRef;
use millstream_core::{
    Boundedness, Chunk, Connectors, Decoded, Decoder, FormatError, OptionError, Reference, Roles, Sink, Source,
    TableDecl,
};

use super::sinks::{Files, Log};
use super::stream::Reader;
use super::world::Shared;

pub(super) struct Edges {
    pub(super) world: Shared,
    /// Nothing goes wrong: for the batch answer.
    pub(super) is_calm: bool,
}

fn connector(table: &TableDecl) -> &str {
    table.options.get("connector").unwrap()
}

impl Connectors for Edges {
    fn check(&self, table: &TableDecl) -> Result<Roles, OptionError> {
        let is_stream = connector(table) == "stream";
        Ok(Roles { source: is_stream.then_some(Boundedness::Unbounded), sink: !is_stream, lookup: false })
    }

    fn source(&self, table: &TableDecl) -> Result<Box<dyn Source>, OptionError> {
        Ok(Box::new(Reader { world: self.world.clone(), stream: table.name.clone(), is_calm: self.is_calm }))
    }

    fn decoder(&self, table: &TableDecl) -> Result<Box<dyn Decoder>, OptionError> {
        Ok(Box::new(Split { schema: Arc::clone(&table.schema) }))
    }

    fn sink(&self, table: &TableDecl, _: &str) -> Result<Box<dyn Sink>, OptionError> {
        Ok(match connector(table) {
            "files" => Box::new(Files::new(self.world.clone(), &table.name)),
            _ => Box::new(Log::new(self.world.clone(), &table.name)),
        })
    }

    fn reference(&self, table: &TableDecl) -> Result<Box<dyn Reference>, OptionError> {
        Err(OptionError::new("connector", format!("`{}` is no reference table", table.name)))
    }
}

/// `id,k,n,ts`.
struct Split {
    schema: SchemaRef,
}

impl Decoder for Split {
    fn decode(&mut self, chunk: &Chunk) -> Result<Decoded, FormatError> {
        let texts: Vec<Vec<&str>> = (chunk.data.iter())
            .map(|payload| std::str::from_utf8(payload.unwrap()).unwrap().split(',').collect())
            .collect();
        let number = |index: usize| texts.iter().map(move |parts| parts[index].parse::<i64>().unwrap());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(number(0).collect::<Int64Array>()),
            Arc::new(texts.iter().map(|parts| Some(parts[1])).collect::<StringArray>()),
            Arc::new(number(2).collect::<Int64Array>()),
            Arc::new(number(3).map(Some).collect::<TimestampMillisecondArray>()),
        ];
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        Ok(Decoded { rows, records: None, rejected: Vec::new() })
    }
}
