//! A parsed CREATE TABLE, checked and resolved: column kinds, the watermark, the options that are not the connector's.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::DFSchema;
use datafusion::logical_expr::ExprSchemable;
use datafusion::sql::sqlparser::ast::{self, Spanned};
use millstream_core::{Connectors, Duration, IdlePolicy, LEASE_TABLE, Metadata, OptionError, Options, TableDecl};

use crate::catalog::{Catalog, Column, ColumnKind, Progress, SharedTable, Table, TimeAttribute, input_schema};
use crate::parse::{self, CreateTable, WatermarkDef, WithOption};
use crate::session::Session;
use crate::window::interval_ms;
use crate::{Position, SqlError, type_name};

/// How long a shard at its tip may be silent before it no longer holds the watermark back.
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// How far a timestamp may lie after its record's arrival before it is taken for a wrong clock.
const DEFAULT_MAX_FUTURE_SKEW: Duration = Duration::from_secs(3600);
/// A table wider than this is refused.
const MAX_COLUMNS: usize = 1000;

/// Resolves a declaration; answers the functions its columns use, too. Does no I/O.
pub(crate) fn resolve(
    session: &Session,
    connectors: &dyn Connectors,
    catalog: &Catalog,
    declaration: &CreateTable,
) -> Result<(Table, Vec<String>), SqlError> {
    let mut uses = Vec::new();
    let columns = resolve_columns(session, catalog, declaration, &mut uses)?;
    let time = declaration.watermark.as_ref().map(|mark| resolve_watermark(session, mark, &columns)).transpose()?;
    let physical = columns.iter().filter(|column| matches!(column.kind, ColumnKind::Physical(_)));
    let physical = Arc::new(Schema::new(physical.map(|column| Arc::clone(&column.field)).collect::<Vec<FieldRef>>()));
    for key in &declaration.primary_key {
        if !columns.iter().any(|column| column.field.name() == &key.text) {
            return Err(SqlError::new(format!("the primary key names `{}`, which is no column", key.text)).at(key.at));
        }
    }
    let place = |error: OptionError| option_error(&error, &declaration.options, declaration.name.at);
    let (progress, partition_key, options) = split_options(&declaration.options).map_err(place)?;
    let decl = TableDecl {
        name: declaration.name.text.clone(),
        schema: physical,
        primary_key: declaration.primary_key.iter().map(|key| key.text.clone()).collect(),
        options,
    };
    let roles = connectors.check(&decl).map_err(place)?;
    let shared =
        resolve_sharing(decl.options.get(LEASE_TABLE).is_some(), partition_key.as_deref(), &columns).map_err(place)?;
    let schema = Arc::new(Schema::new(columns.iter().map(|column| Arc::clone(&column.field)).collect::<Vec<_>>()));
    Ok((Table { decl, columns, schema, time, progress, roles, shared }, uses))
}

/// An error of an option, placed where the option is written.
pub(crate) fn option_error(error: &OptionError, options: &[WithOption], table: Option<Position>) -> SqlError {
    let at = options.iter().find(|option| option.key == error.key).and_then(|option| option.at);
    SqlError::new(error.to_string()).at(at.or(table))
}

fn resolve_columns(
    session: &Session,
    catalog: &Catalog,
    declaration: &CreateTable,
    uses: &mut Vec<String>,
) -> Result<Vec<Column>, SqlError> {
    if declaration.columns.len() > MAX_COLUMNS {
        return Err(SqlError::new(format!("a table has at most {MAX_COLUMNS} columns")).at(declaration.name.at));
    }
    let mut columns: Vec<Option<Column>> = Vec::new();
    let mut physical = 0;
    for (index, column) in declaration.columns.iter().enumerate() {
        let name = &column.name;
        if declaration.columns[..index].iter().any(|earlier| earlier.name.text == name.text) {
            return Err(SqlError::new(format!("column `{}` is declared twice", name.text)).at(name.at));
        }
        columns.push(match &column.kind {
            parse::ColumnKind::Physical { data_type, nullable } => {
                let field = Arc::new(Field::new(&name.text, data_type.clone(), *nullable));
                physical += 1;
                Some(Column { field, kind: ColumnKind::Physical(physical - 1) })
            }
            parse::ColumnKind::Metadata { data_type, key } => Some(resolve_metadata(name, data_type, key.as_deref())?),
            parse::ColumnKind::Computed(_) => None,
        });
    }
    let inputs = input_schema(&columns.iter().flatten().cloned().collect::<Vec<_>>());
    let inputs = DFSchema::try_from(inputs.as_ref().clone())?;
    let resolved =
        columns.into_iter().zip(&declaration.columns).map(|(column, declared)| match (column, &declared.kind) {
            (None, parse::ColumnKind::Computed(expr)) => {
                let at = Position::of(expr.span()).or(declared.name.at);
                let bound = session.bind_expr(catalog, (**expr).clone(), &inputs).and_then(|(bound, used)| {
                    uses.extend(used);
                    session.simplify(Session::coerce(bound, &inputs)?, &inputs)
                });
                let bound = bound.map_err(|error| error.at(at))?;
                let data_type = bound.get_type(&inputs)?;
                let field = Arc::new(Field::new(&declared.name.text, data_type, true));
                Ok(Column { field, kind: ColumnKind::Computed(Box::new(bound)) })
            }
            (Some(column), _) => Ok(column),
            (None, _) => Err(SqlError::new(format!("column `{}` has no source", declared.name.text))),
        });
    resolved.collect()
}

fn resolve_metadata(name: &parse::Name, data_type: &DataType, key: Option<&str>) -> Result<Column, SqlError> {
    let key = key.unwrap_or(&name.text);
    let Some((_, metadata)) = Metadata::ALL.into_iter().find(|(known, _)| *known == key) else {
        let known: Vec<&str> = Metadata::ALL.iter().map(|(known, _)| *known).collect();
        return Err(SqlError::new(format!("there is no metadata '{key}'"))
            .at(name.at)
            .hint(format!("there are: {}", known.join(", "))));
    };
    if *data_type != metadata.data_type() {
        return Err(SqlError::new(format!("metadata '{key}' cannot be {}", type_name(data_type)))
            .at(name.at)
            .hint(format!("declare it as {}", type_name(&metadata.data_type()))));
    }
    Ok(Column {
        field: Arc::new(Field::new(&name.text, metadata.data_type(), true)),
        kind: ColumnKind::Metadata(metadata),
    })
}

fn resolve_watermark(session: &Session, mark: &WatermarkDef, columns: &[Column]) -> Result<TimeAttribute, SqlError> {
    let name = &mark.column;
    let Some(column) = columns.iter().position(|column| column.field.name() == &name.text) else {
        return Err(SqlError::new(format!("WATERMARK FOR `{}`: there is no such column", name.text)).at(name.at));
    };
    let data_type = columns[column].field.data_type();
    if !matches!(data_type, DataType::Timestamp(..)) {
        let message = format!("WATERMARK FOR `{}`: the column is {}, not TIMESTAMP", name.text, type_name(data_type));
        return Err(SqlError::new(message)
            .at(name.at)
            .hint("declare it TIMESTAMP(3), or compute a column with to_timestamp_millis(…) and use that"));
    }
    let is_column = |expr: &ast::Expr| matches!(expr, ast::Expr::Identifier(ident) if parse::fold(ident) == name.text);
    let delay = match mark.expression.as_ref() {
        bare if is_column(bare) => Some(Duration(0)),
        ast::Expr::BinaryOp { left, op: ast::BinaryOperator::Minus, right } if is_column(left) => {
            let (bound, _) = session.bind_expr(&Catalog::default(), (**right).clone(), &DFSchema::empty())?;
            interval_ms(&bound).filter(|delay| delay.0 >= 0)
        }
        _ => None,
    };
    match delay {
        Some(delay) => Ok(TimeAttribute { column, delay }),
        None => Err(SqlError::new(format!("the watermark expression {} is not available", mark.expression))
            .at(Position::of(mark.expression.span()).or(mark.at))
            .hint(format!("write WATERMARK FOR {0} AS {0} - INTERVAL '5' SECOND, or AS {0}", name.text))),
    }
}

/// Which column is the partition key: the one that is named, or that of the envelope.
fn resolve_sharing(
    is_shared: bool,
    named: Option<&str>,
    columns: &[Column],
) -> Result<Option<SharedTable>, OptionError> {
    if !is_shared {
        return match named {
            Some(_) => Err(OptionError::new(PARTITION_KEY, "needs 'source.lease.table': it is for shared streams")),
            None => Ok(None),
        };
    }
    let Some(named) = named else {
        let is_key = |column: &Column| matches!(column.kind, ColumnKind::Metadata(Metadata::PartitionKey));
        return Ok(Some(SharedTable { partition_key: columns.iter().position(is_key) }));
    };
    let Some(index) = columns.iter().position(|column| column.field.name() == named) else {
        return Err(OptionError::new(PARTITION_KEY, format!("names `{named}`, which is no column")));
    };
    let data_type = columns[index].field.data_type();
    let is_text = matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
    if !is_text && !data_type.is_integer() {
        let message =
            format!("names `{named}`, which is {}: a partition key is text, or an integer", type_name(data_type));
        return Err(OptionError::new(PARTITION_KEY, message));
    }
    Ok(Some(SharedTable { partition_key: Some(index) }))
}

/// The column whose text producers take as the partition key.
const PARTITION_KEY: &str = "source.partition-key";

/// Takes out the options that say how time advances, and the one that says what the partition key is; the rest is the
/// connector's.
fn split_options(given: &[WithOption]) -> Result<(Progress, Option<String>, Options), OptionError> {
    const OWN: [&str; 5] = [
        "scan.watermark.idle-timeout",
        "scan.watermark.idle-policy",
        "scan.watermark.max-future-skew",
        "scan.watermark.alignment.max-drift",
        PARTITION_KEY,
    ];
    let (own, rest): (Vec<_>, Vec<_>) =
        given.iter().map(|option| (option.key.as_str(), option.value.as_str())).partition(|(key, _)| OWN.contains(key));
    let own: Options = own.into_iter().collect();
    let reader = own.reader();
    let idle_timeout = reader.duration(OWN[0])?.unwrap_or(DEFAULT_IDLE_TIMEOUT);
    let idle_policy = match reader.one_of(OWN[1], &["close", "hold", "wallclock"])? {
        Some("hold") => IdlePolicy::Hold,
        Some("wallclock") => IdlePolicy::WallClock,
        _ => IdlePolicy::Close,
    };
    let max_future_skew = reader.duration(OWN[2])?.unwrap_or(DEFAULT_MAX_FUTURE_SKEW);
    let max_drift = reader.duration(OWN[3])?;
    // Flink's 0 means never idle.
    let idle_timeout = (idle_timeout.0 > 0).then_some(idle_timeout);
    let partition_key = reader.get(PARTITION_KEY).map(ToOwned::to_owned);
    Ok((Progress { idle_timeout, idle_policy, max_future_skew, max_drift }, partition_key, rest.into_iter().collect()))
}
