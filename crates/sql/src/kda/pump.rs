//! What a pump inserts: the columns of its SELECT as those of its stream, and tables as native ones declare them.

use super::columns::{Class, Column, ROWTIME, items, native_type, quote, text};
use super::select::Block;
use super::statements::{Declared, Pump};
use crate::SqlError;

/// What tells connectors and formats the types of KDA.
pub(super) const TYPES_OPTION: &str = "kda.types";

pub(super) const ROWTIME_SQL: &str = "\"ROWTIME\"";

/// What a pump selects as the columns of its stream, ROWTIME behind them. `rows`: the block's, timed or not.
pub(super) fn assigned(pump: &Pump, block: &Block, rows: &str, columns: &[Declared]) -> Result<String, SqlError> {
    let mut sources: Vec<&Column> = block.columns.iter().collect();
    let mut targets: Vec<Option<&Declared>> = Vec::new();
    for name in &pump.columns {
        let column = columns
            .iter()
            .find(|column| column.name == name.text)
            .or_else(|| columns.iter().find(|column| column.name.eq_ignore_ascii_case(&name.text)));
        if column.is_none() && name.text != ROWTIME {
            let known: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            let error = SqlError::new(format!("{} has no column {}", pump.into.text, name.text));
            return Err(error.at(name.at).hint(format!("it has {}", known.join(", "))));
        }
        targets.push(column);
    }
    if pump.columns.is_empty() {
        targets = columns.iter().map(Some).collect();
    }
    // A ROWTIME that is only set has no column.
    if sources.len() == targets.len() + 1
        && let Some(place) = sources.iter().position(|column| column.name == ROWTIME)
    {
        sources.remove(place);
    }
    if sources.len() != targets.len() {
        let message =
            format!("{} selects {} columns for {} of {}", pump.name.text, sources.len(), targets.len(), pump.into.text);
        return Err(SqlError::new(message)
            .hint("INSERT maps columns by position; list those it fills behind the stream's name"));
    }
    if !block.is_stream {
        let message = format!("{} reads no stream", pump.name.text);
        return Err(SqlError::new(message).hint("a pump copies rows of a stream; join the table to one"));
    }
    let own = targets.iter().position(Option::is_none).map(|place| sources[place].name.clone());
    let values = columns.iter().map(|declared| {
        let source = targets.iter().position(|target| target.is_some_and(|target| target.name == declared.name));
        (source.map_or_else(|| null(declared), |place| value(sources[place], declared)), declared.name.as_str())
    });
    let values: Vec<(String, &str)> = values.collect();
    let listed = items(values.iter().map(|(sql, name)| (sql.as_str(), *name)));
    let rows = match own.filter(|own| own != ROWTIME) {
        None => format!("({rows})"),
        Some(own) => format!("TABLE(in_time(({}), DESCRIPTOR({ROWTIME_SQL}), DESCRIPTOR({})))", block.sql, quote(&own)),
    };
    Ok(format!("SELECT {listed}, {ROWTIME_SQL} FROM {rows}"))
}

/// A column of a SELECT, brought to the type of the stream's column.
fn value(source: &Column, declared: &Declared) -> String {
    let name = quote(&source.name);
    let cast = if source.declared.as_ref() == Some(&declared.data_type) {
        name
    } else {
        format!("kda_assign({name}, {})", text(&declared.data_type.to_string()))
    };
    if declared.not_null { format!("kda_not_null({cast}, {})", text(&declared.name)) } else { cast }
}

pub(super) fn null(declared: &Declared) -> String {
    format!("kda_cast(NULL, {})", text(&declared.data_type.to_string()))
}

pub(super) fn column(declared: &Declared) -> Column {
    Column {
        name: declared.name.clone(),
        class: Class::of(&declared.data_type.arrow()),
        declared: Some(declared.data_type),
        mono: None,
    }
}

pub(super) fn native_column(declared: &Declared) -> String {
    format!("{} {}", quote(&declared.name), native_type(&declared.data_type.arrow()))
}

pub(super) fn names(columns: &[Declared]) -> String {
    columns.iter().map(|column| quote(&column.name)).collect::<Vec<_>>().join(", ")
}

/// A block without its hidden ROWTIME.
pub(super) fn visible(block: &Block) -> String {
    let names: Vec<String> = block.columns.iter().map(|column| quote(&column.name)).collect();
    format!("SELECT {} FROM ({})", names.join(", "), block.sql)
}

/// Options with the types of the columns, which formats go by.
pub(super) fn typed(options: &[(String, String)], columns: &[Declared]) -> Vec<(String, String)> {
    if !options.iter().any(|(key, _)| key == "format") {
        return options.to_vec();
    }
    let types: Vec<String> = columns.iter().map(|column| column.data_type.to_string()).collect();
    options.iter().cloned().chain([(TYPES_OPTION.to_owned(), types.join(";"))]).collect()
}

pub(super) fn listed(options: &[(String, String)]) -> String {
    options.iter().map(|(key, value)| format!("{} = {}", text(key), text(value))).collect::<Vec<_>>().join(", ")
}
