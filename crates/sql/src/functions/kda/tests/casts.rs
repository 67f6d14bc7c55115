//! CAST and the cast of INSERT.

use super::{check, rows};
use crate::testing::session;

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
        ("SELECT kda_assign(x, 'VARCHAR(4)') FROM (VALUES ('ab'), (NULL), ('abcd')) t(x)", "ab NULL abcd"),
        ("SELECT kda_assign(x, 'VARCHAR(3)') FROM (VALUES ('ab'), (NULL), ('äöü')) t(x)", "ab NULL äöü"),
        ("SELECT kda_cast(x, 'CHAR(3)') || '.' FROM (VALUES ('ab'), (NULL), ('äöü')) t(x)", "ab . NULL äöü."),
        ("SELECT kda_cast(x, 'SMALLINT') FROM (VALUES (0.5), (-0.5), (NULL), (1.49)) t(x)", "1 -1 NULL 1"),
    ] {
        assert_eq!(rows(&session, query), expected, "{query}");
    }
}

#[test]
fn assignments_refuse_what_is_too_long_and_what_needs_a_cast() {
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
