//! Arithmetic, functions of numbers, and aggregates.

use super::{check, rows};
use crate::testing::session;

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
        kda_divide(CAST(10 AS DECIMAL(28,2)), 3) => 3.33
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
