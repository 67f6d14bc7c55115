//! `kda_period('OVERLAPS', s1, e1, s2, e2)`: how two periods lie in time. A period holds its start and not its end. The
//! first seven are of SQL:2011; the others are KDA's. CONTAINS takes a point in time too: `kda_period('CONTAINS', s, e, t)`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err};

use super::definition::{Arguments, Definition, TIMESTAMP, as_it_is};

pub(super) const ALL: &[Definition] = &[Definition {
    name: "kda_period",
    alias: None,
    usage: "(start, end) OVERLAPS (start, end), or another temporal predicate, of TIMESTAMPs",
    takes: |given| match given {
        [DataType::Utf8, times @ ..] if matches!(times.len(), 3 | 4) && times.iter().all(is_time) => {
            Some(std::iter::once(DataType::Utf8).chain(times.iter().map(|_| TIMESTAMP)).collect())
        }
        _ => None,
    },
    gives: |_| Ok(DataType::Boolean),
    compute,
    simplify: as_it_is,
}];

fn is_time(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(..) | DataType::Date32 | DataType::Null)
}

type Predicate = fn((i64, i64), (i64, i64)) -> bool;

/// LEADS: the first begins before the second and ends within it; LAGS is the other way round. STRICTLY: they neither begin
/// nor end together, nor touch. IMMEDIATELY: they do.
fn predicate(words: &str) -> Result<Predicate> {
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_uppercase();
    Ok(match words.as_str() {
        "CONTAINS" => |(s1, e1), (s2, e2)| s1 <= s2 && e2 <= e1,
        "OVERLAPS" => |(s1, e1), (s2, e2)| s1 < e2 && s2 < e1,
        "EQUALS" => |one, other| one == other,
        "PRECEDES" => |(_, e1), (s2, _)| e1 <= s2,
        "SUCCEEDS" => |(s1, _), (_, e2)| s1 >= e2,
        "IMMEDIATELY PRECEDES" => |(_, e1), (s2, _)| e1 == s2,
        "IMMEDIATELY SUCCEEDS" => |(s1, _), (_, e2)| s1 == e2,
        "LEADS" => |(s1, e1), (s2, e2)| s1 < s2 && s2 < e1 && e1 <= e2,
        "LAGS" => |(s1, e1), (s2, e2)| s2 <= s1 && s1 < e2 && e2 < e1,
        "STRICTLY CONTAINS" => |(s1, e1), (s2, e2)| s1 < s2 && e2 < e1,
        "STRICTLY OVERLAPS" => |(s1, e1), (s2, e2)| s1 < e2 && s2 < e1 && s1 != s2 && e1 != e2,
        "STRICTLY PRECEDES" => |(_, e1), (s2, _)| e1 < s2,
        "STRICTLY SUCCEEDS" => |(s1, _), (_, e2)| s1 > e2,
        "STRICTLY LEADS" => |(s1, e1), (s2, e2)| s1 < s2 && s2 < e1 && e1 < e2,
        "STRICTLY LAGS" => |(s1, e1), (s2, e2)| s2 < s1 && s1 < e2 && e2 < e1,
        "IMMEDIATELY LEADS" => |(s1, e1), (s2, e2)| s1 < s2 && s2 < e1 && e1 == e2,
        "IMMEDIATELY LAGS" => |(s1, e1), (s2, e2)| s1 == s2 && s1 < e2 && e2 < e1,
        _ => {
            return exec_err!(
                "{words} is no temporal predicate: there are CONTAINS, OVERLAPS, EQUALS, PRECEDES, SUCCEEDS, LEADS and LAGS, STRICTLY or IMMEDIATELY"
            );
        }
    })
}

fn compute(arguments: &Arguments<'_>) -> Result<ArrayRef> {
    let holds = predicate(arguments.word(0)?)?;
    let ms = |index: usize| -> Result<Int64Array> {
        Ok(cast(&arguments.column(index)?, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
    };
    let at = |times: &Int64Array, row: usize| times.is_valid(row).then(|| times.value(row));
    let (s1, e1, s2) = (ms(1)?, ms(2)?, ms(3)?);
    if arguments.len() == 4 {
        let words = arguments.word(0)?;
        if !words.trim().eq_ignore_ascii_case("CONTAINS") {
            return exec_err!("{words} takes two periods; only CONTAINS takes a point in time");
        }
        let within = |row| Some(at(&s1, row)? <= at(&s2, row)? && at(&s2, row)? < at(&e1, row)?);
        return Ok(Arc::new((0..arguments.rows).map(within).collect::<BooleanArray>()));
    }
    let e2 = ms(4)?;
    let answers = (0..arguments.rows).map(|row| {
        let (one, other) = ((at(&s1, row)?, at(&e1, row)?), (at(&s2, row)?, at(&e2, row)?));
        Some(holds(one, other))
    });
    Ok(Arc::new(answers.collect::<BooleanArray>()))
}
