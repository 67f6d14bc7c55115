//! Times, intervals, formats and periods.

use super::{check, value};
use crate::testing::session;

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
