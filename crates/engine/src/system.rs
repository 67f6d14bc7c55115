//! Tables that the service fills itself, under `millstream.`: what runs, and how far it is.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use millstream_core::EventTime;
use millstream_sql::{Catalog, ShowKind, SqlError, SystemTable};

use crate::engine::{Outcome, QueryInfo, QueryState, Running};
use crate::errors::{ERROR_STREAM, error_stream_schema, error_stream_table};
use crate::stats::{CheckpointInfo, ShardStats};

/// `millstream.queries`, `millstream.shards`, `millstream.watermarks`, `millstream.checkpoints` and `error_stream`.
pub(crate) fn tables() -> Vec<SystemTable> {
    // What these hold changes without rows that come.
    let asked = |name: &str, schema| SystemTable { name: name.to_owned(), schema, stream: None };
    vec![
        asked("millstream.queries", queries_schema()),
        asked("millstream.shards", shards_schema()),
        asked("millstream.watermarks", watermarks_schema()),
        asked("millstream.checkpoints", checkpoints_schema()),
        SystemTable {
            name: ERROR_STREAM.to_owned(),
            schema: error_stream_schema(),
            stream: Some(Arc::new(error_stream_table())),
        },
    ]
}

/// The rows of one of these tables now.
pub(crate) fn rows(name: &str, state: &Running) -> Result<(SchemaRef, Vec<RecordBatch>), SqlError> {
    let queries = state.infos();
    let (schema, columns) = match name {
        "millstream.queries" => (queries_schema(), queries_columns(&queries)),
        "millstream.shards" => (shards_schema(), shards_columns(&queries)),
        "millstream.watermarks" => (watermarks_schema(), watermarks_columns(&queries)),
        // Each shard of a shared query has checkpoints of its own.
        "millstream.checkpoints" => {
            let each: Vec<QueryInfo> = state.queries.iter().map(|(name, query)| query.info(name)).collect();
            (checkpoints_schema(), checkpoints_columns(&each))
        }
        other => {
            return Err(SqlError::new(format!("`{other}` is a stream or a sink: it holds no rows to select from"))
                .hint("select from a materialized view"));
        }
    };
    let rows = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|error| SqlError::new(error.to_string()))?;
    Ok((schema, vec![rows]))
}

/// SHOW TABLES, QUERIES and STREAMS as rows.
pub(crate) fn show(statement: String, what: ShowKind, state: &Running, catalog: &Catalog) -> Result<Outcome, SqlError> {
    match what {
        ShowKind::Queries => {
            let (schema, rows) = rows("millstream.queries", state)?;
            Ok(Outcome::Rows { statement, schema, rows })
        }
        ShowKind::Tables => {
            let (names, kinds): (Vec<&str>, Vec<&str>) =
                catalog.iter().map(|(name, relation)| (name, relation.kind())).unzip();
            let schema = Arc::new(Schema::new(vec![
                Field::new("name", DataType::Utf8, false),
                Field::new("kind", DataType::Utf8, false),
            ]));
            let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(names)), Arc::new(StringArray::from(kinds))];
            let rows = RecordBatch::try_new(Arc::clone(&schema), columns);
            Ok(Outcome::Rows { statement, schema, rows: vec![rows.map_err(|error| SqlError::new(error.to_string()))?] })
        }
        // Streams are the host's: it knows the embedded ones.
        ShowKind::Streams => Ok(Outcome::Listed { statement, what }),
    }
}

fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, None)
}

fn queries_schema() -> SchemaRef {
    let count = |name| Field::new(name, DataType::Int64, false);
    Arc::new(Schema::new(vec![
        Field::new("name", DataType::Utf8, false),
        Field::new("state", DataType::Utf8, false),
        Field::new("error", DataType::Utf8, true),
        count("rows_in"),
        count("rows_out"),
        count("filtered"),
        count("late"),
        count("rejected"),
        count("state_bytes"),
        Field::new("watermark", time(), true),
        Field::new("delivery", DataType::Utf8, false),
        Field::new("sql", DataType::Utf8, false),
    ]))
}

fn queries_columns(queries: &[QueryInfo]) -> Vec<ArrayRef> {
    let count = |of: &dyn Fn(&QueryInfo) -> u64| -> ArrayRef {
        Arc::new(queries.iter().map(|query| i64::try_from(of(query)).ok()).collect::<Int64Array>())
    };
    let text = |of: &dyn Fn(&QueryInfo) -> Option<String>| -> ArrayRef {
        Arc::new(queries.iter().map(of).collect::<StringArray>())
    };
    vec![
        text(&|query| Some(query.name.clone())),
        text(&|query| Some(query.state.word().to_owned())),
        text(&|query| match &query.state {
            QueryState::Failed(reason) => Some(reason.clone()),
            _ => None,
        }),
        count(&|query| query.stats.rows_in.get()),
        count(&|query| query.stats.rows_out.get()),
        count(&|query| query.stats.filtered.get()),
        count(&|query| query.stats.late.get()),
        count(&|query| query.stats.rejected.get()),
        count(&|query| query.stats.state_bytes.get()),
        Arc::new(queries.iter().map(|query| shown(query.stats.watermark())).collect::<TimestampMillisecondArray>()),
        text(&|query| Some(query.delivery.word().to_owned())),
        text(&|query| Some(query.sql.clone())),
    ]
}

/// One row for each query of which checkpoints are taken.
fn checkpoints_schema() -> SchemaRef {
    let count = |name| Field::new(name, DataType::Int64, false);
    Arc::new(Schema::new(vec![
        Field::new("query", DataType::Utf8, false),
        count("checkpoint"),
        Field::new("taken_at", time(), true),
        count("bytes_written"),
        count("state_bytes"),
        count("duration_ms"),
        count("pause_us"),
        Field::new("failing", DataType::Utf8, true),
        Field::new("skipped", DataType::Utf8, true),
    ]))
}

fn checkpoints_columns(queries: &[QueryInfo]) -> Vec<ArrayRef> {
    let taken = queries.iter().map(|query| (&query.name, query.stats.checkpoints.newest()));
    let taken: Vec<_> = taken.filter(|(_, newest)| newest.number > 0).collect();
    let count = |of: &dyn Fn(&CheckpointInfo) -> u64| -> ArrayRef {
        Arc::new(taken.iter().map(|(_, newest)| i64::try_from(of(newest)).ok()).collect::<Int64Array>())
    };
    let skipped = |skipped: &[String]| (!skipped.is_empty()).then(|| skipped.join("; "));
    vec![
        Arc::new(taken.iter().map(|(query, _)| Some(query.as_str())).collect::<StringArray>()),
        count(&|newest| newest.number),
        Arc::new(taken.iter().map(|(_, newest)| newest.taken_at.map(|at| at.0)).collect::<TimestampMillisecondArray>()),
        count(&|newest| newest.bytes),
        count(&|newest| newest.state_bytes),
        count(&|newest| newest.duration_ms.unsigned_abs()),
        count(&|newest| newest.pause_us),
        Arc::new(taken.iter().map(|(_, newest)| newest.failing.clone()).collect::<StringArray>()),
        Arc::new(taken.iter().map(|(_, newest)| skipped(&newest.skipped)).collect::<StringArray>()),
    ]
}

fn shards_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("query", DataType::Utf8, false),
        Field::new("source", DataType::Utf8, false),
        Field::new("shard", DataType::Utf8, false),
        Field::new("state", DataType::Utf8, false),
        Field::new("offset", DataType::Utf8, true),
        Field::new("watermark", time(), true),
        Field::new("lag_ms", DataType::Int64, false),
    ]))
}

/// One row for each shard that a query's event time is made of.
fn watermarks_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("query", DataType::Utf8, false),
        Field::new("watermark", time(), true),
        Field::new("source", DataType::Utf8, false),
        Field::new("shard", DataType::Utf8, false),
        Field::new("shard_state", DataType::Utf8, false),
        Field::new("shard_watermark", time(), true),
        Field::new("holds_back", DataType::Boolean, false),
    ]))
}

fn watermarks_columns(queries: &[QueryInfo]) -> Vec<ArrayRef> {
    let shards = queries.iter().flat_map(|query| query.stats.shards().into_iter().map(move |shard| (query, shard)));
    let shards: Vec<_> = shards.collect();
    let text = |of: &dyn Fn(&QueryInfo, &str, &str, &ShardStats) -> String| -> ArrayRef {
        let values =
            shards.iter().map(|(query, (source, shard, stats))| Some(of(query, source, shard.as_str(), stats)));
        Arc::new(values.collect::<StringArray>())
    };
    let of_query = shards.iter().map(|(query, _)| shown(query.stats.watermark()));
    let of_shard = shards.iter().map(|(_, (.., stats))| shown(stats.watermark));
    vec![
        text(&|query, _, _, _| query.name.clone()),
        Arc::new(of_query.collect::<TimestampMillisecondArray>()),
        text(&|_, source, _, _| source.to_owned()),
        text(&|_, _, shard, _| shard.to_owned()),
        text(&|_, _, _, stats| stats.state.word().to_owned()),
        Arc::new(of_shard.collect::<TimestampMillisecondArray>()),
        Arc::new(shards.iter().map(|(_, (.., stats))| Some(stats.holds_back)).collect::<BooleanArray>()),
    ]
}

/// Where event time of these sources stands for the queries that read them, as EXPLAIN tells it.
pub(crate) fn progress(sources: &[String], state: &Running) -> String {
    let mut text = String::new();
    for (name, query) in &state.queries {
        for (source, shard, stats) in query.stats.shards() {
            if sources.contains(&source) && stats.holds_back {
                let watermark = shown(stats.watermark).map_or("none yet".to_owned(), |at| EventTime(at).to_string());
                let state = stats.state.word();
                let _ = writeln!(text, "WATERMARK {name}: {watermark}, held by {source} {shard} ({state})");
            }
        }
    }
    text
}

fn shards_columns(queries: &[QueryInfo]) -> Vec<ArrayRef> {
    let shards: Vec<_> = queries
        .iter()
        .flat_map(|query| {
            let of_query = query.stats.shards().into_iter();
            of_query.map(|(source, shard, stats)| (query.name.clone(), source, shard, stats))
        })
        .collect();
    vec![
        Arc::new(shards.iter().map(|(query, ..)| Some(query.as_str())).collect::<StringArray>()),
        Arc::new(shards.iter().map(|(_, source, ..)| Some(source.as_str())).collect::<StringArray>()),
        Arc::new(shards.iter().map(|(.., shard, _)| Some(shard.as_str())).collect::<StringArray>()),
        Arc::new(shards.iter().map(|(.., stats)| Some(stats.state.word())).collect::<StringArray>()),
        Arc::new(
            shards.iter().map(|(.., stats)| stats.offset.as_ref().map(ToString::to_string)).collect::<StringArray>(),
        ),
        Arc::new(shards.iter().map(|(.., stats)| shown(stats.watermark)).collect::<TimestampMillisecondArray>()),
        Arc::new(shards.iter().map(|(.., stats)| i64::try_from(stats.lag_ms).ok()).collect::<Int64Array>()),
    ]
}

/// A watermark as a value: none before the first row and after the end.
fn shown(watermark: EventTime) -> Option<i64> {
    (watermark != EventTime::MIN && watermark != EventTime::MAX).then_some(watermark.0)
}

impl QueryState {
    /// The word of the API.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Finished => "finished",
            Self::Failed(_) => "failed",
        }
    }
}
