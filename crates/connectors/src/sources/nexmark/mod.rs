//! The source `nexmark`: the persons, auctions and bids of the Nexmark benchmark, for its queries and for measurements.
//! Its options are those of the connector of Flink's nexmark project.
//!
//! Event `n` and its time are a function of the options and `n`. The records are JSON texts, so that they take the way of
//! every other record. Values come from the crate `nexmark`, which follows Beam's generator; words are those of Flink's.

mod event;
mod options;

use std::sync::Arc;

use millstream_core::{BoxFuture, EventTime, OptionError, Resume, Roles, Source, SourceError, SourceOutput};
use nexmark::EventGenerator;
use nexmark::config::NexmarkConfig;

use super::paced::{self, Maker, Paced, Rate};
use crate::formats;
use crate::registry::{Connector, Request, no_reference, no_sink};
use event::Shape;

pub(crate) const CONNECTOR: Connector =
    Connector { name: "nexmark", format: formats::only_json, check, source, sink: no_sink, reference: no_reference };

struct Nexmark {
    events: Events,
    paced: Paced,
}

fn check(request: &Request<'_>) -> Result<Roles, OptionError> {
    let nexmark = read(request)?;
    nexmark.events.shape.check(&request.table.schema)?;
    (formats::only_json(request.options)?.decoder)(request.table, request.options)?;
    Ok(Roles { source: Some(nexmark.paced.boundedness()), sink: false, lookup: false })
}

fn source(request: &Request<'_>) -> Result<Box<dyn Source>, OptionError> {
    Ok(Box::new(read(request)?))
}

fn read(request: &Request<'_>) -> Result<Nexmark, OptionError> {
    let options = request.options;
    let shape = Shape::read(options)?;
    let config = options::config(options)?;
    let base_time = options::base_time(options)?;
    // Flink's 0 is without end, too.
    let events =
        options.parse::<u64>("events.num", "a whole number that is not negative")?.filter(|events| *events > 0);
    let is_limited = options.flag("rate.limited", events.is_none())?;
    let (of_shape, of_all) = shape.share(&config);
    // The same share of the rate as of the events.
    let rate = Rate { records: options::count(config.next_rate) * of_shape, millis: 1000 * of_all };
    let paced = Paced {
        rate: is_limited.then_some(rate),
        records: events.map(|events| shape.before(events, &config)),
        shards: paced::shards(options)?,
        clock: Arc::clone(&request.context.clock),
        name: "nexmark source",
    };
    Ok(Nexmark { events: Events { shape, config, base_time, is_limited, started: None }, paced })
}

impl Source for Nexmark {
    fn run(self: Box<Self>, resume: Resume, output: &dyn SourceOutput) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async move {
            let Self { mut events, paced } = *self;
            paced.run(&mut events, &resume, output).await
        })
    }
}

/// Makes events.
struct Events {
    shape: Shape,
    config: NexmarkConfig,
    /// The time of event 0. Without one the first event that a reading makes has the time at which it is made.
    base_time: Option<u64>,
    is_limited: bool,
    started: Option<EventGenerator>,
}

impl Events {
    /// The generator, about to make this event of its shape.
    fn at(&mut self, number: u64) -> &mut EventGenerator {
        let events = match self.started.take() {
            Some(events) if events.offset() == number => events,
            Some(events) => events.with_offset(number),
            None => {
                let events = EventGenerator::new(self.config.clone()).with_offset(number);
                match self.shape.kind() {
                    Some(kind) => events.with_type_filter(kind),
                    None => events,
                }
            }
        };
        self.started.insert(events)
    }

    /// The time of an event by its number among all, after that of event 0. The crate has it too, but in single
    /// precision: after a day the times of its events are 8 ms apart or the same.
    fn elapsed_ms(&self, number: u64) -> u64 {
        let rate = options::count(self.config.next_rate);
        (number.saturating_mul(1000) + rate / 2) / rate
    }
}

impl Maker for Events {
    /// At full speed an event arrives at its own time: then every reading of the same events gives the same rows.
    fn make(&mut self, number: u64, now: EventTime, out: &mut Vec<u8>) -> EventTime {
        let events = self.at(number);
        let (of_all, event) = (events.global_offset(), events.next());
        let elapsed_ms = self.elapsed_ms(of_all);
        let started_at = u64::try_from(now.0).unwrap_or(0).saturating_sub(elapsed_ms);
        let time = *self.base_time.get_or_insert(started_at) + elapsed_ms;
        if let Some(event) = event {
            self.shape.write(event, time, out);
        }
        if self.is_limited { now } else { EventTime(i64::try_from(time).unwrap_or(i64::MAX)) }
    }
}

#[cfg(test)]
mod tests;
