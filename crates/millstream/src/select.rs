//! Rows picked from a copy of a table: equal to values, ordered, a page of them.

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, Scalar, StringArray};
use arrow::compute::kernels::cmp::eq;
use arrow::compute::{
    CastOptions, SortColumn, SortOptions, and, cast_with_options, concat_batches, filter_record_batch,
    lexsort_to_indices, take_record_batch,
};
use arrow::datatypes::SchemaRef;

use crate::http::Problem;

/// One column to order by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    column: usize,
    descending: bool,
}

/// `events.desc,user_id`.
pub(crate) fn parse_order(schema: &SchemaRef, text: &str) -> Result<Vec<Order>, Problem> {
    let one = |part: &str| {
        let (name, descending) = match (part.strip_suffix(".desc"), part.strip_suffix(".asc")) {
            (Some(name), _) => (name, true),
            (None, Some(name)) => (name, false),
            (None, None) => (part, false),
        };
        let column = schema.index_of(name).map_err(|_| {
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            Problem::bad_request(format!("`order`: there is no column `{name}`"))
                .hint(format!("the columns are: {}", names.join(", ")))
        })?;
        Ok(Order { column, descending })
    };
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(one).collect()
}

/// The rows whose columns have these values, which are read as the columns' types. Batches without any are left out.
pub(crate) fn where_equal(
    schema: &SchemaRef,
    batches: Vec<RecordBatch>,
    filters: &[(usize, String)],
) -> Result<Vec<RecordBatch>, Problem> {
    let mut wanted = Vec::new();
    for (column, text) in filters {
        let field = schema.field(*column);
        let refused = || {
            let sql_type = millstream_sql::type_name(field.data_type());
            Problem::bad_request(format!("`{}`: `{text}` given, expected a value of type {sql_type}", field.name()))
        };
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let text: ArrayRef = std::sync::Arc::new(StringArray::from(vec![text.as_str()]));
        let value = cast_with_options(&text, field.data_type(), &options).map_err(|_| refused())?;
        wanted.push((*column, Scalar::new(value)));
    }
    let mut found = Vec::with_capacity(batches.len());
    for rows in batches {
        let mut keep: Option<BooleanArray> = None;
        for (column, value) in &wanted {
            let equal = eq(rows.column(*column), value).map_err(refused_by_arrow)?;
            keep = Some(match keep {
                Some(others) => and(&others, &equal).map_err(refused_by_arrow)?,
                None => equal,
            });
        }
        let rows = match keep {
            Some(keep) if keep.true_count() == 0 => continue,
            Some(keep) => filter_record_batch(&rows, &keep).map_err(refused_by_arrow)?,
            None => rows,
        };
        if rows.num_rows() > 0 {
            found.push(rows);
        }
    }
    Ok(found)
}

/// All rows in ascending order of columns.
pub(crate) fn ordered_by(
    schema: &SchemaRef,
    batches: Vec<RecordBatch>,
    columns: &[usize],
) -> Result<Vec<RecordBatch>, Problem> {
    let order: Vec<Order> = columns.iter().map(|&column| Order { column, descending: false }).collect();
    ordered(schema, batches, &order)
}

/// All rows in order, NULL last.
pub(crate) fn ordered(
    schema: &SchemaRef,
    batches: Vec<RecordBatch>,
    order: &[Order],
) -> Result<Vec<RecordBatch>, Problem> {
    if order.is_empty() {
        return Ok(batches);
    }
    let rows = concat_batches(schema, &batches).map_err(refused_by_arrow)?;
    let columns: Vec<SortColumn> = (order.iter())
        .map(|order| SortColumn {
            values: ArrayRef::clone(rows.column(order.column)),
            options: Some(SortOptions { descending: order.descending, nulls_first: false }),
        })
        .collect();
    let indexes = lexsort_to_indices(&columns, None).map_err(refused_by_arrow)?;
    Ok(vec![take_record_batch(&rows, &indexes).map_err(refused_by_arrow)?])
}

/// `limit` rows after the first `offset`.
pub(crate) fn page(batches: &[RecordBatch], offset: usize, limit: usize) -> Vec<RecordBatch> {
    let (mut skip, mut left) = (offset, limit);
    let mut page = Vec::new();
    for rows in batches {
        let skipped = rows.num_rows().min(skip);
        let taken = (rows.num_rows() - skipped).min(left);
        (skip, left) = (skip - skipped, left - taken);
        if taken > 0 {
            page.push(rows.slice(skipped, taken));
        }
    }
    page
}

/// Kernels refuse types they cannot compare, such as ROW.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused_by_arrow(error: arrow::error::ArrowError) -> Problem {
    Problem::bad_request(error.to_string()).hint("filter and order by columns that are not nested")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Int64Array, TimestampMillisecondArray};
    use arrow::datatypes::Int64Type;
    use std::sync::Arc;

    fn batches() -> (SchemaRef, Vec<RecordBatch>) {
        let batch = |ids: Vec<&str>, counts: Vec<Option<i64>>| {
            let times = TimestampMillisecondArray::from(vec![0; ids.len()]);
            RecordBatch::try_from_iter_with_nullable([
                ("id", Arc::new(StringArray::from(ids)) as ArrayRef, false),
                ("n", Arc::new(Int64Array::from(counts)) as ArrayRef, true),
                ("at", Arc::new(times) as ArrayRef, false),
            ])
            .unwrap()
        };
        let batches = vec![batch(vec!["a", "b"], vec![Some(2), None]), batch(vec!["c"], vec![Some(2)])];
        (batches[0].schema(), batches)
    }

    fn ids(batches: &[RecordBatch]) -> String {
        batches.iter().flat_map(|rows| rows.column(0).as_string::<i32>().iter().flatten()).collect()
    }

    #[test]
    fn filters_read_values_as_the_columns_types() {
        let (schema, batches) = batches();
        for (filters, expected) in [
            (vec![], "abc"),
            (vec![(1, "2")], "ac"),
            (vec![(1, "2"), (0, "c")], "c"),
            (vec![(2, "1970-01-01T00:00:00.000"), (0, "b")], "b"),
            (vec![(0, "x' OR '1'='1")], ""),
        ] {
            let filters: Vec<_> = filters.into_iter().map(|(column, text)| (column, text.to_owned())).collect();
            assert_eq!(ids(&where_equal(&schema, batches.clone(), &filters).unwrap()), expected);
        }
        let problem = where_equal(&schema, batches, &[(1, "many".to_owned())]).unwrap_err();
        assert!(format!("{problem:?}").contains("expected a value of type BIGINT"), "{problem:?}");
    }

    #[test]
    fn rows_are_ordered_with_nulls_last_and_paged() {
        let (schema, batches) = batches();
        for (order, expected) in [("id.desc", "cba"), ("n,id.desc", "cab"), ("n.desc,id", "acb"), ("", "abc")] {
            let order = parse_order(&schema, order).unwrap();
            assert_eq!(ids(&ordered(&schema, batches.clone(), &order).unwrap()), expected);
        }
        assert!(parse_order(&schema, "nn").is_err());
        for (offset, limit, expected) in [(0, 2, "ab"), (1, 5, "bc"), (2, 1, "c"), (9, 1, ""), (0, 0, "")] {
            assert_eq!(ids(&page(&batches, offset, limit)), expected);
        }
        assert_eq!(batches[0].column(1).as_primitive::<Int64Type>().value(0), 2);
    }
}
