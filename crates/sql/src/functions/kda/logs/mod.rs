//! Log lines taken apart: functions that give a ROW, of which `T.REC.COLUMN1` takes a part. Their second argument says
//! the columns, so it must be written out in the query. What is not of the form is NULL.

mod columns;
mod fast_regex;
mod fixed;
mod record;
mod regex_log;
mod syslog;
mod variable;
mod w3c;

use super::definition::Definition;

pub(super) const ALL: &[Definition] = &[
    regex_log::DEFINITION,
    fast_regex::PARSE,
    fast_regex::PARSER,
    variable::DEFINITION,
    fixed::DEFINITION,
    syslog::DEFINITION,
    w3c::DEFINITION,
];
