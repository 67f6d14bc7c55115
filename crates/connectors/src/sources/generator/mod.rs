//! The source `generator`: made-up records, for demos, tests and measurements. Its options are those of Flink's datagen.
//!
//! The records are JSON texts of the declared columns, so that they take the way of every other record. Row `n` is a
//! function of the seed, `n` and the time: a reading that resumes makes the rows it would have made. A record arrives
//! when it is made, so that the beginning, the latest record and every time are the same place to start: the first row.

mod options;
mod value;

use std::sync::Arc;

use millstream_core::{BoxFuture, EventTime, OptionError, Resume, Roles, Source, SourceError, SourceOutput};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::paced::{self, Maker, Paced, Rate};
use crate::formats;
use crate::registry::{Connector, Request, no_reference, no_sink};
use value::Object;

pub(crate) const CONNECTOR: Connector =
    Connector { name: "generator", format: formats::only_json, check, source, sink: no_sink, reference: no_reference };

/// Makes rows.
struct Generator {
    rows: Rows,
    paced: Paced,
}

fn check(request: &Request<'_>) -> Result<Roles, OptionError> {
    let generator = read(request)?;
    (formats::only_json(request.options)?.decoder)(request.table, request.options)?;
    Ok(Roles { source: Some(generator.paced.boundedness()), sink: false, lookup: false })
}

fn source(request: &Request<'_>) -> Result<Box<dyn Source>, OptionError> {
    Ok(Box::new(read(request)?))
}

fn read(request: &Request<'_>) -> Result<Generator, OptionError> {
    let options = request.options;
    let number = |key| options.parse::<u64>(key, "a whole number that is not negative");
    let row = options::read(&request.table.schema, &options.with_prefix("fields."))?;
    let records = [number("number-of-rows")?, row.rows()].into_iter().flatten().min();
    let rows_per_second = number("rows-per-second")?.unwrap_or(10_000);
    let paced = Paced {
        rate: (rows_per_second > 0).then_some(Rate { records: rows_per_second, millis: 1000 }),
        records,
        shards: paced::shards(options)?,
        clock: Arc::clone(&request.context.clock),
        name: "generator",
    };
    Ok(Generator { rows: Rows { row, seed: number("seed")?.unwrap_or(0) }, paced })
}

impl Source for Generator {
    fn run(self: Box<Self>, resume: Resume, output: &dyn SourceOutput) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async move {
            let Self { mut rows, paced } = *self;
            paced.run(&mut rows, &resume, output).await
        })
    }
}

/// The rows themselves.
struct Rows {
    row: Object,
    seed: u64,
}

impl Maker for Rows {
    fn make(&mut self, number: u64, now: EventTime, out: &mut Vec<u8>) -> EventTime {
        // Each row has its own generator: the odd constant (2^64 / golden ratio) spreads neighbours apart.
        let mut random = SmallRng::seed_from_u64(self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        self.row.write(number, now, &mut random, out);
        now
    }
}

#[cfg(test)]
mod tests;
