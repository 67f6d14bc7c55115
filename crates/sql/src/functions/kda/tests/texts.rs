//! Texts, and log lines.

use super::check;

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
