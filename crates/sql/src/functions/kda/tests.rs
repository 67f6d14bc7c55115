//! Expressions and what they give, through the session: once as they are, once simplified.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatchOptions;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::DFSchema;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::create_physical_expr;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::testing::session;
use crate::{Catalog, Session, SqlError};

/// The value of an expression as a text, `NULL`, or its error.
fn value(session: &Session, sql: &str) -> Result<String, String> {
    let words = |error: SqlError| error.to_string();
    let schema = DFSchema::empty();
    let ast = Parser::new(&GenericDialect {}).try_with_sql(sql).unwrap().parse_expr().unwrap();
    let (bound, _) = session.bind_expr(&Catalog::default(), ast, &schema).map_err(words)?;
    let plain = Session::coerce(bound, &schema).map_err(words)?;
    let simplified = session.simplify(plain.clone(), &schema).map_err(words)?;
    let (one, other) = (evaluate(&plain), evaluate(&simplified));
    assert_eq!(one.is_ok(), other.is_ok(), "{sql}: {one:?} {other:?}");
    if let (Ok(one), Ok(other)) = (&one, &other) {
        assert_eq!(one, other, "{sql}");
    }
    one
}

fn evaluate(expr: &Expr) -> Result<String, String> {
    let words = |error: datafusion::error::DataFusionError| SqlError::from(error).to_string();
    let physical =
        create_physical_expr(expr, &DFSchema::empty(), &ExecutionProps::new(), &PhysicalPlanningContext::default())
            .map_err(words)?;
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let rows = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).unwrap();
    let column = physical.evaluate(&rows).and_then(|value| value.into_array(1)).map_err(words)?;
    let options = FormatOptions::default().with_null("NULL");
    Ok(ArrayFormatter::try_new(&column, &options).unwrap().value(0).to_string())
}

/// Cases of one line each: an expression, ` => `, and its value; `error: ` begins a part of a message.
fn check(cases: &str) {
    let session = session().unwrap();
    let mut wrong = Vec::new();
    for line in cases.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (sql, expected) = line.split_once(" => ").unwrap();
        let found = value(&session, sql);
        let holds = match (expected.strip_prefix("error: "), &found) {
            (None, Ok(found)) => found == expected.trim_matches('|'),
            (Some(part), Err(message)) => message.contains(part),
            _ => false,
        };
        if !holds {
            wrong.push(format!("{line}\n    found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn casts_convert_or_fail() {
    check(
        r"
        kda_cast(1.5, 'INTEGER') => 2
        kda_cast(-1.5, 'INTEGER') => -2
        kda_cast(2.4999, 'BIGINT') => 2
        kda_cast(300, 'TINYINT') => error: 300 does not fit into TINYINT
        kda_cast(1e300, 'BIGINT') => error: does not fit into BIGINT
        kda_cast(NULL, 'INTEGER') => NULL
        kda_cast(' 12 ', 'INTEGER') => 12
        kda_cast('12.7', 'INTEGER') => 13
        kda_cast('twelve', 'INTEGER') => error: 'twelve' is no INTEGER
        kda_cast('1e2', 'DOUBLE') => 100.0
        kda_cast('1,5', 'DOUBLE') => error: '1,5' is no DOUBLE
        kda_cast(12.345, 'DECIMAL(10,2)') => 12.35
        kda_cast(12.345, 'DECIMAL') => 12
        kda_cast(12345, 'DECIMAL(4,1)') => error: 12345 does not fit into DECIMAL(4, 1)
        kda_cast(kda_cast('12.345', 'DECIMAL(10,3)'), 'DECIMAL(10,1)') => 12.3
        kda_cast(kda_cast('12.5', 'DECIMAL(10,3)'), 'INTEGER') => 13
        kda_cast(kda_cast('12.5', 'DECIMAL(10,3)'), 'VARCHAR(8)') => 12.500
        kda_cast(kda_cast('0.1', 'DECIMAL(10,3)'), 'DOUBLE') => 0.1
        kda_cast(12, 'VARCHAR(2)') => 12
        kda_cast(123, 'VARCHAR(2)') => error: '123' has 3 letters, VARCHAR(2) holds 2
        kda_cast('abcdef', 'VARCHAR(4)') => error: 'abcdef' has 6 letters, VARCHAR(4) holds 4
        kda_cast('abcd  ', 'VARCHAR(4)') => abcd
        kda_cast('äöü', 'VARCHAR(3)') => äöü
        kda_cast('ab', 'CHAR(4)') => |ab  |
        kda_cast(72.5, 'VARCHAR(10)') => 72.5
        kda_cast(72.0e0, 'VARCHAR(10)') => 72.0
        kda_cast(1e10, 'VARCHAR(10)') => 1.0E10
        kda_cast(TRUE, 'VARCHAR(5)') => TRUE
        kda_cast(' true', 'BOOLEAN') => true
        kda_cast('yes', 'BOOLEAN') => error: 'yes' is no BOOLEAN
        kda_cast('2016-02-29 23:59:59', 'TIMESTAMP') => 2016-02-29T23:59:59
        kda_cast('2016-02-29 23:59:59.5', 'TIMESTAMP') => error: '2016-02-29 23:59:59.5' is no TIMESTAMP of the form yyyy-MM-dd HH:mm:ss
        kda_cast('2015-02-29', 'DATE') => error: '2015-02-29' is no DATE
        kda_cast('2016-02-29', 'DATE') => 2016-02-29
        kda_cast('23:59:59', 'TIME') => 23:59:59
        kda_cast(TIMESTAMP '2016-02-29 23:59:59.123', 'VARCHAR(19)') => 2016-02-29 23:59:59
        kda_cast(TIMESTAMP '2016-02-29 23:59:59.123', 'VARCHAR(9)') => error: has 19 letters, VARCHAR(9) holds 9
        kda_cast(TIMESTAMP '2016-02-29 23:59:59.123', 'DATE') => 2016-02-29
        kda_cast(TIMESTAMP '1969-12-31 23:59:59.123', 'TIME') => 23:59:59.123
        kda_cast(DATE '2016-02-29', 'TIMESTAMP') => 2016-02-29T00:00:00
        kda_cast(DATE '2008-08-23', 'CHAR(12)') => |2008-08-23  |
        kda_cast(TIMESTAMP '2016-02-29 23:59:59', 'BIGINT') => error: cannot cast TIMESTAMP
        kda_cast(1, 'BOOLEAN') => error: cannot cast BIGINT to BOOLEAN
        kda_cast(1, 'STRING') => error: `STRING` is no type of a column
        kda_cast(INTERVAL '10' SECOND, 'BIGINT') => error: write CAST((a - b) SECOND AS INTEGER)
        ",
    );
}

#[test]
fn casts_of_columns_convert_each_row_or_none() {
    let session = session().unwrap();
    for (query, expected) in [
        ("SELECT kda_assign(x, 'VARCHAR(3)') FROM (VALUES ('ab'), (NULL), ('abcd')) t(x)", "ab NULL abc"),
        ("SELECT kda_assign(x, 'VARCHAR(3)') FROM (VALUES ('ab'), (NULL), ('äöü')) t(x)", "ab NULL äöü"),
        ("SELECT kda_cast(x, 'CHAR(3)') || '.' FROM (VALUES ('ab'), (NULL), ('äöü')) t(x)", "ab . NULL äöü."),
        ("SELECT kda_cast(x, 'SMALLINT') FROM (VALUES (0.5), (-0.5), (NULL), (1.49)) t(x)", "1 -1 NULL 1"),
    ] {
        assert_eq!(rows(&session, query), expected, "{query}");
    }
}

#[test]
fn assignments_cut_texts_and_refuse_what_needs_a_cast() {
    check(
        r"
        kda_assign('abcdef', 'VARCHAR(4)') => error: 'abcdef' has 6 letters
        kda_not_null(1, 'A') => 1
        kda_not_null(NULL, 'A') => error: column A is NOT NULL
        kda_assign('ab', 'CHAR(4)') => |ab  |
        kda_assign(12345, 'VARCHAR(4)') => error: '12345' has 5 letters
        kda_assign(1.5, 'INTEGER') => 2
        kda_assign(1, 'DOUBLE') => 1.0
        kda_assign(DATE '2016-02-29', 'TIMESTAMP') => 2016-02-29T00:00:00
        kda_assign('2016-02-29 00:00:00', 'TIMESTAMP') => 2016-02-29T00:00:00
        kda_assign(NULL, 'TIMESTAMP') => NULL
        kda_assign(kda_to_timestamp(0), 'BIGINT') => error: implicit cast of TIMESTAMP to BIGINT; write UNIX_TIMESTAMP(value)
        kda_assign(1, 'TIMESTAMP') => error: implicit cast of BIGINT to TIMESTAMP; write TO_TIMESTAMP(milliseconds)
        kda_assign(TRUE, 'INTEGER') => error: implicit cast of BOOLEAN to INTEGER
        ",
    );
}

#[test]
fn arithmetic_follows_the_rules_of_digits() {
    check(
        r"
        kda_divide(7, 2) => 3
        kda_divide(-7, 2) => -3
        kda_divide(7, 0) => error: division by zero
        kda_divide(7.5, 0.0) => error: 7.5 is divided by zero
        kda_divide(7.5, 2.0) => 3.75
        kda_divide(7, 2.0) => 3.5
        kda_divide(kda_cast(1, 'DECIMAL(10,1)'), kda_cast(3, 'DECIMAL(10,3)')) => 0.333333
        kda_divide(kda_cast(1, 'DECIMAL(4,0)'), kda_cast(3, 'DECIMAL(4,0)')) => 0.333333
        kda_divide(kda_cast(2, 'DECIMAL(4,0)'), kda_cast(3, 'DECIMAL(4,0)')) => 0.666667
        kda_divide(kda_cast(2, 'DECIMAL(4,0)'), kda_cast(0, 'DECIMAL(4,0)')) => error: 2 is divided by zero
        kda_multiply(kda_cast('1.25', 'DECIMAL(5,2)'), kda_cast('1.5', 'DECIMAL(5,1)')) => 1.875
        kda_multiply(kda_cast('1.25', 'DECIMAL(5,2)'), 2) => 2.50
        kda_multiply(kda_cast('1.25', 'DECIMAL(5,2)'), 2e0) => 2.5
        kda_add(kda_cast('1.25', 'DECIMAL(5,2)'), kda_cast('1.5', 'DECIMAL(5,1)')) => 2.75
        kda_subtract(kda_cast('1.25', 'DECIMAL(5,2)'), kda_cast('1.5', 'DECIMAL(5,1)')) => -0.25
        kda_add(kda_cast('999999999999999999', 'DECIMAL(18,0)'), 1) => error: a result does not fit into DECIMAL(18, 0)
        kda_add(kda_cast(127, 'TINYINT'), kda_cast(1, 'TINYINT')) => error: a result does not fit into TINYINT
        kda_add(kda_cast(2147483647, 'INTEGER'), kda_cast(1, 'INTEGER')) => error: a result does not fit into INT
        kda_multiply(9223372036854775807, 2) => error: a result does not fit into BIGINT
        kda_subtract(NULL, 2) => NULL
        kda_mod(-7, 3) => -1
        kda_mod(7, 0) => error: division by zero
        kda_mod(kda_cast('7.5', 'DECIMAL(5,1)'), 2) => 1.5
        kda_add(TIMESTAMP '2016-02-29 23:59:59', INTERVAL '1' SECOND) => 2016-03-01T00:00:00
        kda_subtract(DATE '2016-03-01', INTERVAL '1' DAY) => 2016-02-29
        kda_add(kda_cast('23:59:59', 'TIME'), INTERVAL '2' SECOND) => 00:00:01
        kda_subtract(TIMESTAMP '2016-02-29 23:59:59', TIMESTAMP '2016-02-29 23:59:58') => error: write (a - b) SECOND
        kda_interval_count(kda_multiply(INTERVAL '10' SECOND, 3), 'SECOND') => 30
        kda_interval_count(kda_multiply(0.5, INTERVAL '10' SECOND), 'SECOND') => 5
        kda_interval_count(kda_divide(INTERVAL '1' HOUR, 4), 'MINUTE') => 15
        kda_divide(INTERVAL '1' HOUR, 0) => error: an INTERVAL is divided by zero
        kda_add('a', 1) => error: write a + b
        ",
    );
}

#[test]
fn numbers_keep_their_types() {
    check(
        r"
        kda_floor(-1.5) => -2.0
        kda_ceil(-1.5) => -1.0
        kda_floor(7) => 7
        kda_floor(kda_cast('-1.5', 'DECIMAL(5,2)')) => -2.00
        kda_ceil(kda_cast('1.01', 'DECIMAL(5,2)')) => 2.00
        kda_step(17, 5) => 15
        kda_step(-1, 5) => -5
        kda_step(1.7, 0.5) => 1.5
        kda_step(1, 0) => error: STEP goes by a number above 0
        kda_abs(-3) => 3
        kda_abs(kda_cast(-128, 'TINYINT')) => error: a result does not fit into TINYINT
        kda_abs(kda_cast('-1.50', 'DECIMAL(5,2)')) => 1.50
        kda_ln(1) => 0.0
        kda_ln(0) => error: LN(0) has no value
        kda_log10(1000) => 3.0
        kda_sqrt(16) => 4.0
        kda_sqrt(-1) => error: SQRT(-1) has no value
        kda_exp(0) => 1.0
        kda_power(2, 10) => 1024.0
        kda_power(-8, 0.5) => error: POWER(-8, 0.5) has no value
        ",
    );
}

#[test]
fn times_are_cut_and_counted_from_1970() {
    check(
        r"
        kda_step(TIMESTAMP '2016-02-29 23:59:59.123', INTERVAL '10' SECOND) => 2016-02-29T23:59:50
        kda_step(TIMESTAMP '1969-12-31 23:59:59.123', INTERVAL '10' SECOND) => 1969-12-31T23:59:50
        kda_step(TIMESTAMP '2016-02-29 23:59:59', INTERVAL '1' DAY) => 2016-02-29T00:00:00
        kda_step(TIMESTAMP '2016-05-29 23:59:59', INTERVAL '3' MONTH) => 2016-04-01T00:00:00
        step(TIMESTAMP '2016-02-29 23:59:59', INTERVAL '0' SECOND) => error: STEP goes by an INTERVAL longer than nothing
        kda_floor(TIMESTAMP '2016-02-29 23:59:59.123', 'SECOND') => 2016-02-29T23:59:59
        kda_floor(TIMESTAMP '1969-12-31 23:59:59.123', 'MINUTE') => 1969-12-31T23:59:00
        kda_floor(TIMESTAMP '2016-02-29 23:59:59.123', 'month') => 2016-02-01T00:00:00
        kda_floor(TIMESTAMP '2016-02-29 23:59:59.123', 'YEAR') => 2016-01-01T00:00:00
        kda_ceil(TIMESTAMP '2016-02-29 23:59:59.123', 'SECOND') => 2016-03-01T00:00:00
        kda_ceil(TIMESTAMP '2016-12-29 23:59:59', 'MONTH') => 2017-01-01T00:00:00
        kda_ceil(TIMESTAMP '2016-03-01 00:00:00', 'DAY') => 2016-03-01T00:00:00
        kda_floor(DATE '2016-02-29', 'YEAR') => 2016-01-01
        kda_floor(kda_cast('23:59:59', 'TIME'), 'HOUR') => 23:00:00
        kda_floor(TIMESTAMP '2016-02-29 23:59:59', 'FORTNIGHT') => error: FORTNIGHT is no unit of time
        kda_extract('YEAR', TIMESTAMP '2016-02-29 23:58:59.123') => 2016
        kda_extract('QUARTER', TIMESTAMP '2016-02-29 23:58:59.123') => 1
        kda_extract('MONTH', DATE '2016-02-29') => 2
        kda_extract('WEEK', DATE '2016-01-01') => 53
        kda_extract('DOW', DATE '2016-02-29') => 2
        kda_extract('DOY', DATE '2016-02-29') => 60
        kda_extract('hour', TIMESTAMP '2016-02-29 23:58:59.123') => 23
        kda_extract('MINUTE', TIMESTAMP '1969-12-31 23:58:59.123') => 58
        kda_extract('SECOND', kda_cast('23:58:59', 'TIME')) => 59
        kda_extract('MILLISECOND', TIMESTAMP '2016-02-29 23:58:59.123') => 123
        kda_extract('EPOCH', TIMESTAMP '1970-01-02 00:00:00') => 86400
        kda_extract('HOUR', INTERVAL '25' HOUR) => 1
        kda_tsdiff(TIMESTAMP '2016-02-29 00:00:00', TIMESTAMP '2016-02-29 00:00:01.5') => 1500
        tsdiff(TIMESTAMP '2016-02-29 00:00:01', TIMESTAMP '2016-02-29 00:00:00') => -1000
        kda_unix_timestamp(TIMESTAMP '1970-01-01 00:00:01.5') => 1500
        kda_to_timestamp(1500.7) => 1970-01-01T00:00:01.501
        kda_to_timestamp(1500) => 1970-01-01T00:00:01.500
        ",
    );
}

#[test]
fn intervals_are_differences_cut_to_their_unit() {
    check(
        r"
        kda_interval_count(kda_difference(TIMESTAMP '2016-02-29 00:00:01.9', TIMESTAMP '2016-02-29 00:00:00', 'SECOND'), 'SECOND') => 1
        kda_interval_count(kda_multiply(kda_difference(TIMESTAMP '2016-02-29 00:00:01.9', TIMESTAMP '2016-02-29 00:00:00', 'SECOND(10,3)'), 1000), 'SECOND') => 1900
        kda_interval_count(kda_difference(TIMESTAMP '2016-02-29 00:01:59', TIMESTAMP '2016-02-29 00:00:00', 'DAY TO MINUTE'), 'SECOND') => 60
        kda_interval_count(kda_difference(TIMESTAMP '2016-02-29 00:00:00', TIMESTAMP '2016-02-29 00:01:59', 'MINUTE'), 'MINUTE') => -1
        kda_interval_count(kda_difference(DATE '2016-03-30', DATE '2016-01-31', 'MONTH'), 'MONTH') => 1
        kda_interval_count(kda_difference(DATE '2016-03-31', DATE '2014-01-31', 'YEAR'), 'MONTH') => 24
        kda_interval_count(kda_difference(kda_cast('01:00:00', 'TIME'), kda_cast('00:30:00', 'TIME'), 'MINUTE'), 'MINUTE') => 30
        kda_interval_count(kda_floor(kda_divide(kda_difference(TIMESTAMP '2026-01-01 00:00:19', TIMESTAMP '1970-01-01 00:00:00', 'SECOND'), 10), 'SECOND'), 'SECOND') => 176722561
        kda_interval_count(kda_floor_interval(INTERVAL '90' MINUTE, 'HOUR'), 'MINUTE') => 60
        kda_interval_count(kda_ceil(INTERVAL '90' MINUTE, 'HOUR'), 'MINUTE') => 120
        kda_interval_count(kda_floor(INTERVAL '-90' MINUTE, 'HOUR'), 'MINUTE') => -120
        ",
    );
}

#[test]
fn times_are_read_and_written_by_javas_formats() {
    check(
        r"
        kda_char_to_timestamp('dd/MMM/yyyy:HH:mm:ss Z', '24/May/2004:22:01:02 -0700') => 2004-05-25T05:01:02
        kda_char_to_timestamp('yyyy-MM-dd', 'never') => error: 'never' is not of the format yyyy-MM-dd of CHAR_TO_TIMESTAMP
        kda_char_to_timestamp('yyyy-MM-ddThh', 'never') => error: the letter `T` of the format
        char_to_timestamp('yyyy', NULL) => NULL
        kda_char_to_date('MM/dd/yy', '12/31/69 and more') => 1969-12-31
        kda_char_to_time('hh:mm a', '12:30 PM') => 12:30:00
        kda_timestamp_to_char('EEE, d MMM yyyy hh:mm:ss.SSS a', TIMESTAMP '2016-02-29 23:59:59.123') => Mon, 29 Feb 2016 11:59:59.123 PM
        kda_date_to_char('yyyy/MM/dd', DATE '2016-02-29') => 2016/02/29
        kda_time_to_char('HH''h''mm', kda_cast('23:59:59', 'TIME')) => 23h59
        ",
    );
}

#[test]
fn periods_hold_their_start_and_not_their_end() {
    let session = session().unwrap();
    // Two periods by their hours, and which of the predicates hold.
    let all = [
        "CONTAINS",
        "OVERLAPS",
        "EQUALS",
        "PRECEDES",
        "SUCCEEDS",
        "IMMEDIATELY PRECEDES",
        "IMMEDIATELY SUCCEEDS",
        "LEADS",
        "LAGS",
        "STRICTLY CONTAINS",
        "STRICTLY OVERLAPS",
        "STRICTLY PRECEDES",
        "STRICTLY SUCCEEDS",
        "STRICTLY LEADS",
        "STRICTLY LAGS",
        "IMMEDIATELY LEADS",
        "IMMEDIATELY LAGS",
    ];
    for (hours, holding) in [
        ([1, 2, 3, 4], "PRECEDES, STRICTLY PRECEDES"),
        ([1, 2, 2, 4], "PRECEDES, IMMEDIATELY PRECEDES"),
        ([1, 3, 2, 4], "OVERLAPS, LEADS, STRICTLY OVERLAPS, STRICTLY LEADS"),
        ([1, 4, 2, 4], "CONTAINS, OVERLAPS, LEADS, IMMEDIATELY LEADS"),
        ([1, 4, 2, 3], "CONTAINS, OVERLAPS, STRICTLY CONTAINS, STRICTLY OVERLAPS"),
        ([1, 4, 1, 4], "CONTAINS, OVERLAPS, EQUALS"),
        ([1, 4, 1, 3], "CONTAINS, OVERLAPS, LAGS, IMMEDIATELY LAGS"),
        ([2, 4, 1, 3], "OVERLAPS, LAGS, STRICTLY OVERLAPS, STRICTLY LAGS"),
        ([2, 4, 1, 2], "SUCCEEDS, IMMEDIATELY SUCCEEDS"),
        ([3, 4, 1, 2], "SUCCEEDS, STRICTLY SUCCEEDS"),
    ] {
        let times = hours.map(|hour| format!("TIMESTAMP '2016-01-01 0{hour}:00:00'")).join(", ");
        let holds = |words: &&str| value(&session, &format!("kda_period('{words}', {times})")) == Ok("true".to_owned());
        let found: Vec<&str> = all.iter().copied().filter(holds).collect();
        let mut expected: Vec<&str> = holding.split(", ").collect();
        expected.sort_by_key(|words| all.iter().position(|known| known == words));
        assert_eq!(found, expected, "{hours:?}");
    }
    check(
        "
        kda_period('EQUALS', NULL, NULL, NULL, NULL) => NULL
        kda_period('CONTAINS', DATE '2016-01-01', DATE '2016-01-03', DATE '2016-01-01') => true
        kda_period('CONTAINS', DATE '2016-01-01', DATE '2016-01-03', DATE '2016-01-03') => false
        kda_period('LEADS', DATE '2016-01-01', DATE '2016-01-03', DATE '2016-01-03') => error: LEADS takes two periods
        kda_period('TOUCHES', NULL, NULL, NULL, NULL) => error: TOUCHES is no temporal predicate
        ",
    );
}

#[test]
fn texts_are_cut_by_positions_and_patterns() {
    check(
        r#"
        kda_substring('123456789', 3, 4) => 3456
        kda_substring('123456789', 17, 4) => ||
        kda_substring('123456789', -1, 4) => 12
        kda_substring('123456789', 6, 0) => ||
        kda_substring('123456789', 8, 4) => 89
        kda_substring('123456789', 7) => 789
        kda_substring('äöü', 2, 1) => ö
        kda_substring('abc', 1, -1) => error: a length is not below 0
        kda_substring('abc', NULL, 1) => NULL
        kda_substring('123456789', '23#"456#"78%', '#') => NULL
        kda_substring('123456789', '%23#"45_#"78%', '#') => 456
        kda_substring('abc', '%', '#') => error: has no two marks #"
        kda_overlay('12345', 'foo', 1) => foo45
        kda_overlay('12345', 'foo', 0) => foo345
        kda_overlay('12345', 'foo', -2) => foo12345
        kda_overlay('12345', 'foo', 4) => 123foo
        kda_overlay('12345', 'foo', 17) => 12345foo
        kda_overlay('12345', 'foo', 2, 0) => 1foo2345
        kda_overlay('12345', 'foo', 2, 2) => 1foo45
        kda_overlay('12345', 'foo', 2, 9) => 1foo
        kda_overlay('12345', 'foo', 2, -1) => error: a length is not below 0
        kda_overlay('12345', NULL, 2) => NULL
        kda_similar('abc', 'abc') => true
        kda_similar('abc', 'a') => false
        kda_similar('abc', '(a|x)%') => true
        kda_similar('abc', '_b_') => true
        kda_similar('a.c', 'a.c') => true
        kda_similar('abc', 'a.c') => false
        kda_similar('ab12', '[[:ALPHA:]]+[0-9]{2}') => true
        kda_similar('50%', '[0-9]+#%', '#') => true
        kda_similar('abc', 'a(') => error: the pattern `a(` is not understood
        kda_regex_replace('TECHNOLOGY', 'TECH', 'INFO', 1, 0) => INFONOLOGY
        kda_regex_replace('a1b2c3', '[0-9]', '#', 1, 2) => a1b#c3
        kda_regex_replace('a1b2c3', '[0-9]', '#', 3, 0) => a1b#c#
        kda_regex_replace('a1b2c3', '([a-z])([0-9])', '$2$1', 1, 0) => 1a2b3c
        kda_regex_replace('a1', '1', '\$', 1, 0) => a$
        kda_regex_replace('a1', '1', '$3', 1, 0) => error: has a $ without a group
        kda_regex_replace('a1', '1', 'x', 0, 0) => error: start position 0
        kda_regex_replace('a1', '1', 'x', 1, -1) => error: occurrence -1
        kda_regex_replace('a1', '1', 'x', 9, 0) => a1
        kda_regex_replace('a1', NULL, 'x', 1, 0) => NULL
        regex_replace('a1', '(?=1)', 'x', 1, 0) => error: a look ahead or behind
        "#,
    );
}

#[test]
fn log_lines_are_taken_apart() {
    check(
        r#"
        kda_regex_log_parse('a b 1c d', '(\w.+) (\d.+) (\w)') => {COLUMN1: a b, COLUMN2: 1c, COLUMN3: d}
        kda_regex_log_parse('TECHNOLOGY', '.*([E].).*([R].*)') => NULL
        regex_log_parse('ENERGY', '.*([E].).*([R].*)') => {COLUMN1: EN, COLUMN2: RGY}
        kda_regex_log_parse('a', '(?=a)') => error: a look ahead or behind
        kda_regex_log_parse(NULL, '(a)') => NULL
        kda_fast_regex_log_parse('Mary_had_a_little_lamb', '(.*)_(._.*)_.*') => {COLUMN1: Mary_had, COLUMN2: a_little}
        kda_fast_regex_log_parse('Mary_had_a_little_lamb', '(.*)_(._.*)') => {COLUMN1: Mary_had, COLUMN2: a_little_lamb}
        kda_fast_regex_log_parser('12:59 up', '(<0-23>):(<Digit>{2}) @') => {COLUMN1: 12, COLUMN2: 59}
        fast_regex_log_parse('12 ups', '(<Digit>+) up') => NULL
        fast_regex_log_parse('(a|b)+', '"("(.)"|"(.)")+"') => {COLUMN1: a, COLUMN2: b}
        fast_regex_log_parse('ab', '((a)(b))') => {COLUMN1: ab}
        kda_fast_regex_log_parse('x', '(<Klingon>)') => error: <Klingon> of the pattern
        kda_variable_column_log_parse('x,y,z', 'COL_1 TYPE VARCHAR(16), col_2 TYPE VARCHAR(16), "Col3" TYPE CHAR(2)', ',') => {COL_1: x, COL_2: y, Col3: z }
        kda_variable_column_log_parse('x;7;2016-02-29', 'a TYPE VARCHAR(1), b TYPE INTEGER, c TYPE DATE', ';') => {A: x, B: 7, C: 2016-02-29}
        kda_variable_column_log_parse('x;seven', 'a TYPE VARCHAR(1), b TYPE INTEGER', ';') => error: column B: 'seven' is no INTEGER
        variable_column_log_parse('x,y', 3, ',') => {COLUMN1: x, COLUMN2: y, COLUMN3: NULL}
        variable_column_log_parse('a\,b,c', 2, ',', '\') => {COLUMN1: a,b, COLUMN2: c}
        variable_column_log_parse('[a,b],c', 2, ',', '\', '[]') => {COLUMN1: a,b, COLUMN2: c}
        variable_column_log_parse(',c', 'a TYPE VARCHAR(4), b TYPE VARCHAR(4), c TYPE VARCHAR(4) NOT NULL', ',') => NULL
        kda_variable_column_log_parse('x', 'a VARCHAR(1)', ',') => error: `a VARCHAR(1)` is no column
        kda_fixed_column_log_parse('ERROR 0042 disk', 'LEVEL TYPE VARCHAR(5) START 0 FOR 5, CODE TYPE INTEGER START 6 FOR 4, TEXT TYPE VARCHAR(99) START 11') => {LEVEL: ERROR, CODE: 42, TEXT: disk}
        fixed_column_log_parse('24/May/2004:22:01:02 x', '"at" TYPE TIMESTAMP ''dd/MMM/yyyy:HH:mm:ss'' START 0 FOR 20, "what" TYPE CHAR(1) START 21') => {at: 2004-05-24T22:01:02, what: x}
        fixed_column_log_parse('x', 'a TYPE VARCHAR(1)') => error: column A has no START
        kda_sys_log_parse('Oct 11 22:14:15 mymachine su: failed') => {COLUMN1: 1970-10-11T22:14:15, COLUMN2: mymachine su: failed}
        sys_log_parse('Oct  1 22:14:15 m s') => {COLUMN1: 1970-10-01T22:14:15, COLUMN2: m s}
        sys_log_parse('no time') => NULL
        kda_w3c_log_parse('192.168.254.30 - John [24/May/2004:22:01:02 -0700] "GET /icons/apache_pb.gif HTTP/1.1" 304 0', 'COMMON') => {COLUMN1: 192.168.254.30, COLUMN2: -, COLUMN3: John, COLUMN4: [24/May/2004:22:01:02 -0700], COLUMN5: GET /icons/apache_pb.gif HTTP/1.1, COLUMN6: 304, COLUMN7: 0}
        w3c_log_parse('h.org 1.2.3.4 - - [t] "GET /" 304 -', 'common with vhost') => {COLUMN1: h.org, COLUMN2: 1.2.3.4, COLUMN3: -, COLUMN4: -, COLUMN5: [t], COLUMN6: GET /, COLUMN7: 304, COLUMN8: -}
        w3c_log_parse('1.2.3.4 - - [t] "GET /" 304 0 "-" "Mozilla/5.0 (X11; \"x\")"', 'NCSA EXTENDED') => {COLUMN1: 1.2.3.4, COLUMN2: -, COLUMN3: -, COLUMN4: [t], COLUMN5: GET /, COLUMN6: 304, COLUMN7: 0, COLUMN8: -, COLUMN9: Mozilla/5.0 (X11; \"x\")}
        w3c_log_parse('http://a.b/c ---> /d', 'REFERER') => {COLUMN1: http://a.b/c, COLUMN2: /d}
        w3c_log_parse('Mozilla/5.0 (X11)', 'AGENT') => {COLUMN1: Mozilla/5.0 (X11)}
        w3c_log_parse('304 Mozilla/5.0', '%>s %{User-agent}i') => {COLUMN1: 304, COLUMN2: Mozilla/5.0}
        w3c_log_parse('nothing', 'COMMON') => NULL
        w3c_log_parse('x', '%') => error: is no specifier
        "#,
    );
}

/// Those of §5 that DataFusion's functions give as the reference says.
#[test]
fn native_functions_give_what_the_reference_says() {
    check(
        r"
        CHAR_LENGTH('äöü') => 3
        INITCAP('the quick fox') => The Quick Fox
        LOWER('ABC') => abc
        UPPER('abc') => ABC
        POSITION('b' IN 'abc') => 2
        POSITION('x' IN 'abc') => 0
        TRIM(BOTH 'x' FROM 'xxabcx') => abc
        TRIM(LEADING 'x' FROM 'xxabcx') => abcx
        TRIM('  abc  ') => abc
        'a' || NULL => NULL
        NULLIF(2, 2) => NULL
        ",
    );
}

#[test]
fn aggregates_average_whole_numbers_wholly_and_forget_rows() {
    let session = session().unwrap();
    for (query, expected) in [
        ("SELECT kda_avg(x) FROM (VALUES (1), (2), (NULL), (5)) t(x)", "2"),
        ("SELECT kda_avg(x) FROM (VALUES (-1), (-2), (-5)) t(x)", "-2"),
        ("SELECT kda_avg(x) FROM (VALUES (1.0), (2.5)) t(x)", "1.75"),
        ("SELECT kda_avg(CAST(x AS DECIMAL(10, 2))) FROM (VALUES (1.00), (2.01)) t(x)", "1.51"),
        ("SELECT kda_avg(x) FROM (VALUES (CAST(NULL AS INT))) t(x)", "NULL"),
        ("SELECT kda_avg(x) FROM (VALUES (1, 3), (2, 4), (1, 6)) t(k, x) GROUP BY k ORDER BY k", "4 4"),
        (
            "SELECT kda_avg(x) OVER (ORDER BY k ROWS 1 PRECEDING) FROM (VALUES (1, 1), (2, 4), (3, 8)) t(k, x) ORDER BY k",
            "1 2 6",
        ),
        (
            "SELECT kda_exp_avg(x, kda_to_timestamp(k), INTERVAL '1' SECOND) OVER (ORDER BY k ROWS 1 PRECEDING) FROM (VALUES (0, 1), (1000, 4), (2000, 10)) t(k, x) ORDER BY k",
            "1.0 3.0 8.0",
        ),
        ("SELECT exp_avg(x, kda_to_timestamp(k), INTERVAL '1' SECOND) FROM (VALUES (0, 1), (1000, 4)) t(k, x)", "3.0"),
        ("SELECT kda_any(x) FROM (VALUES (TRUE), (FALSE), (NULL)) t(x)", "true"),
        ("SELECT every(x) FROM (VALUES (TRUE), (FALSE), (NULL)) t(x)", "false"),
        ("SELECT kda_every(x) FROM (VALUES (CAST(NULL AS BOOLEAN))) t(x)", "NULL"),
        (
            "SELECT kda_any(x) OVER (ORDER BY k ROWS 1 PRECEDING) FROM (VALUES (1, TRUE), (2, FALSE), (3, FALSE)) t(k, x) ORDER BY k",
            "true true false",
        ),
        ("SELECT stddev_pop(x) FROM (VALUES (2), (4)) t(x)", "1.0"),
        ("SELECT stddev_samp(x) FROM (VALUES (2)) t(x)", "NULL"),
        ("SELECT var_pop(x) FROM (VALUES (2), (4)) t(x)", "1.0"),
        ("SELECT var_samp(x) FROM (VALUES (2), (4)) t(x)", "2.0"),
        ("SELECT first_value(x ORDER BY x) FROM (VALUES (2), (4)) t(x)", "2"),
        ("SELECT last_value(x ORDER BY x) FROM (VALUES (2), (4)) t(x)", "4"),
    ] {
        assert_eq!(rows(&session, query), expected, "{query}");
    }
}

/// The first column of a query, run by DataFusion alone.
fn rows(session: &Session, query: &str) -> String {
    let context = datafusion::prelude::SessionContext::new_with_state((**session.state()).clone());
    // Nothing here waits for anything: whoever polls goes on.
    let mut run = pin!(async { context.sql(query).await.unwrap().collect().await.unwrap() });
    let batches = loop {
        if let Poll::Ready(batches) = run.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            break batches;
        }
    };
    let options = FormatOptions::default().with_null("NULL");
    let mut values = Vec::new();
    for batch in &batches {
        let column = ArrayFormatter::try_new(batch.column(0), &options).unwrap();
        values.extend((0..batch.num_rows()).map(|row| column.value(row).to_string()));
    }
    values.join(" ")
}

#[test]
fn the_examples_of_the_documentation_hold() {
    let page = include_str!("../../../../../docs/kda-functions.md");
    let session = session().unwrap();
    let mut count = 0;
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let plain = line.replace("\\|", "\u{1}");
        let cells: Vec<&str> = plain.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
        let [.., example, gives] = cells.as_slice() else { continue };
        let (Some(example), Some(gives)) = (code(example), code(gives)) else { continue };
        assert_eq!(value(&session, &example.replace('\u{1}', "|")), Ok(gives.to_owned()), "{example}");
        count += 1;
    }
    assert!(count > 40, "{count} examples were found");
}

/// What stands between backticks.
fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`').filter(|code| !code.contains('`'))
}
