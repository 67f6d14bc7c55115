//! How the analytic functions are called, with the parameters, ranges and defaults of Kinesis Data Analytics.

use arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, ExprSchema};
use datafusion::logical_expr::Expr;
use millstream_analytics::{BadParameter, ForestParameters, HotspotParameters, TopK};
use millstream_core::Duration;

use super::call::{Arguments, Form, Read};
use super::{Explained, InOrderFunction};
use crate::SqlError;

/// Columns that a point is made of, as AWS has it. Of more the first are taken, unless DESCRIPTOR names them.
const SCORED_MAX: usize = 30;

/// A window of items in seconds, as AWS has it.
const WINDOW_SECONDS_MAX: i64 = 3600;

pub(super) const FORMS: [Form; 6] = [
    Form {
        name: "RANDOM_CUT_FOREST",
        example: "write TABLE(RANDOM_CUT_FOREST(TABLE events, DESCRIPTOR(event_time), 100, 256, 100000, 1)): trees, \
               sample, decay and shingle may be left out, and DESCRIPTOR(a, b) after the time names what is scored",
        read: |arguments| {
            let columns = points(arguments)?;
            forest(arguments, columns, Explained::No)
        },
    },
    Form {
        name: "RANDOM_CUT_FOREST_WITH_EXPLANATION",
        example: "write TABLE(RANDOM_CUT_FOREST_WITH_EXPLANATION(TABLE events, DESCRIPTOR(event_time), 100, 256, 100000, \
               1, TRUE)): TRUE tells directions",
        read: |arguments| {
            let columns = points(arguments)?;
            forest(arguments, columns, Explained::ByColumns)
        },
    },
    Form {
        name: "HOTSPOTS",
        example: "write TABLE(HOTSPOTS(TABLE events, DESCRIPTOR(event_time), 1000, 0.2, 17)): the window in rows, the scan \
               radius, and the rows that make a hotspot; DESCRIPTOR(a, b) after the time names the columns",
        read: |arguments| {
            let columns = points(arguments)?;
            let parameters = HotspotParameters {
                window_size: arguments.number("the window size", None)?,
                scan_radius: arguments.number("the scan radius", None)?,
                min_points: arguments.number("the least number of points of a hotspot", None)?,
                dimensions: columns.len() - 1,
            };
            parameters.check().map_err(out_of_range)?;
            Ok((InOrderFunction::Hotspots { parameters }, columns))
        },
    },
    Form {
        name: "TOP_K_ITEMS_TUMBLING",
        example: "write TABLE(TOP_K_ITEMS_TUMBLING(TABLE events, DESCRIPTOR(event_time), 'user_id', 10, 60)): the column, \
               how many, and the seconds of a window",
        read: |arguments| {
            let columns = vec![arguments.column()?, item(arguments)?];
            let k = arguments.number("the number of items", None)?;
            in_range("the number of items", i64::from(k), i64::try_from(TopK::ITEMS_MAX).unwrap_or(i64::MAX))?;
            Ok((InOrderFunction::TopKItems { k, length: seconds(arguments)? }, columns))
        },
    },
    Form {
        name: "COUNT_DISTINCT_ITEMS_TUMBLING",
        example: "write TABLE(COUNT_DISTINCT_ITEMS_TUMBLING(TABLE events, DESCRIPTOR(event_time), 'user_id', 60)): the \
               column, and the seconds of a window",
        read: |arguments| {
            let columns = vec![arguments.column()?, item(arguments)?];
            Ok((InOrderFunction::CountDistinctItems { length: seconds(arguments)? }, columns))
        },
    },
    Form {
        name: "GROUP_RANK",
        example: "write TABLE(GROUP_RANK(TABLE counts, DESCRIPTOR(window_end), 'n', 'rank', 'desc', 'asc', 0, 0)): the \
               column to rank by, the name of the rank, the orders of the ranks and of the rows, the idle time in \
               milliseconds, and how many rows of a group are given",
        read: |arguments| {
            let columns = vec![arguments.column()?, named(arguments, "the name of the column to rank by")?];
            let rank = arguments.text("the name of the rank's column")?;
            let is_descending = is_desc(&arguments.text("the order of the ranks")?)?;
            let is_last_first = is_desc(&arguments.text("the order of the rows")?)?;
            // Rows wait for the watermark, which the table's idle timeout moves on: there is nothing to wait for beyond.
            let _: u32 = arguments.number("the idle time in milliseconds", Some(0))?;
            let output_max = arguments.number("the most rows of a group", Some(0))?;
            Ok((InOrderFunction::GroupRank { rank, is_descending, is_last_first, output_max }, columns))
        },
    },
];

fn forest(arguments: &mut Arguments, columns: Vec<Expr>, explained: Explained) -> Read {
    let default = ForestParameters::default();
    let parameters = ForestParameters {
        trees: arguments.number("the number of trees", Some(default.trees))?,
        sample_size: arguments.number("the sample size", Some(default.sample_size))?,
        time_decay: arguments.number("the time decay", Some(default.time_decay))?,
        shingle: arguments.number("the shingle size", Some(default.shingle))?,
        dimensions: u32::try_from(columns.len() - 1).unwrap_or(u32::MAX),
        seed: default.seed,
    };
    parameters.check().map_err(out_of_range)?;
    let explained = match explained {
        Explained::No => Explained::No,
        _ if arguments.flag("whether directions are told")? => Explained::WithDirections,
        _ => Explained::ByColumns,
    };
    Ok((InOrderFunction::RandomCutForest { parameters, explained }, columns))
}

fn out_of_range(BadParameter { name, value, range }: BadParameter) -> SqlError {
    let name = match name {
        "sample_size" => "the sample size",
        "time_decay" => "the time decay",
        "window_size" => "the window size",
        "scan_radius" => "the scan radius",
        "min_points" => "the least number of points of a hotspot",
        "dimensions" => "the number of columns",
        other => other,
    };
    SqlError::new(format!("{name} is {value}, but must be {range}"))
}

fn in_range(name: &str, value: i64, max: i64) -> Result<(), SqlError> {
    if (1..=max).contains(&value) {
        return Ok(());
    }
    Err(SqlError::new(format!("{name} is {value}, but must be from 1 to {max}")))
}

/// The time, and the columns that make the points: those that DESCRIPTOR names, or all numbers.
fn points(arguments: &mut Arguments) -> Result<Vec<Expr>, SqlError> {
    let time = arguments.column()?;
    let named = if arguments.has_columns() { arguments.columns()? } else { Vec::new() };
    let schema = &arguments.schema;
    let numbers = if named.is_empty() {
        let is_number = |place: &usize| is_number(schema.field(*place).data_type());
        (0..schema.fields().len()).filter(is_number).take(SCORED_MAX).map(|place| column_at(schema, place)).collect()
    } else {
        for column in &named {
            let Expr::Column(name) = column else { continue };
            let data_type = schema.field_from_column(name)?.data_type().clone();
            if !is_number(&data_type) {
                let message = format!("{column} is {data_type}, and points are made of integers and floats");
                return Err(SqlError::new(message).hint("cast it to DOUBLE in a subquery"));
            }
        }
        named
    };
    if numbers.is_empty() {
        return Err(SqlError::new("the input has no column of integers or floats")
            .hint("DECIMAL and texts are not taken: cast them to DOUBLE in a subquery"));
    }
    Ok(std::iter::once(time).chain(numbers).collect())
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_floating()
}

fn column_at(schema: &DFSchema, place: usize) -> Expr {
    Expr::Column(Column::from(schema.qualified_field(place)))
}

/// A column by its name as a text: exactly, or in another case if there is one such.
fn named(arguments: &mut Arguments, what: &str) -> Result<Expr, SqlError> {
    let name = arguments.text(what)?;
    let schema = &arguments.schema;
    let places = |is: &dyn Fn(&str) -> bool| -> Vec<usize> {
        (0..schema.fields().len()).filter(|place| is(schema.field(*place).name())).collect()
    };
    let exact = places(&|field| field == name);
    let found = if exact.is_empty() { places(&|field| field.eq_ignore_ascii_case(&name)) } else { exact };
    match found[..] {
        [place] => Ok(column_at(schema, place)),
        [] => {
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let error = SqlError::new(format!("the input has no column `{name}`"));
            Err(error.hint(format!("its columns are {}", names.join(", "))))
        }
        _ => Err(SqlError::new(format!("the input has several columns `{name}`"))),
    }
}

/// A column whose values are counted, which texts must stand for.
fn item(arguments: &mut Arguments) -> Result<Expr, SqlError> {
    let column = named(arguments, "the name of the column")?;
    let Expr::Column(name) = &column else { return Ok(column) };
    let data_type = arguments.schema.field_from_column(name)?.data_type().clone();
    let is_simple = data_type.is_numeric() || data_type.is_string() || data_type.is_temporal();
    if is_simple || data_type == DataType::Boolean {
        return Ok(column);
    }
    Err(SqlError::new(format!("items cannot be {data_type}, which {column} is"))
        .hint("cast it to STRING in a subquery, or take a member of it"))
}

fn seconds(arguments: &mut Arguments) -> Result<Duration, SqlError> {
    let seconds = arguments.number("the seconds of a window", None)?;
    in_range("the seconds of a window", seconds, WINDOW_SECONDS_MAX)?;
    Ok(Duration(seconds * 1000))
}

fn is_desc(order: &str) -> Result<bool, SqlError> {
    match order.to_lowercase().as_str() {
        "asc" => Ok(false),
        "desc" => Ok(true),
        _ => Err(SqlError::new(format!("`{order}` is no order")).hint("orders are asc and desc")),
    }
}
