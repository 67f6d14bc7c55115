//! The functions of KDA's SQL by name, and what native function computes each.

/// How a call is put into native SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// The arguments as they are, to the native function of this name.
    Scalar(&'static str),
    /// The same, over groups and windows.
    Aggregate(&'static str),
    /// Over windows only.
    Analytic(&'static str),
}

use Call::{Aggregate, Analytic, Scalar};

use millstream_core::edit_distance;

use super::columns::Class;
use super::tokens::NTH_FROM_LAST;
use super::types::KdaType;

const FUNCTIONS: [(&str, Call, Class); 71] = [
    ("COUNT", Aggregate("count"), Class::Integer),
    ("SUM", Aggregate("sum"), Class::Unknown),
    ("AVG", Aggregate("kda_avg"), Class::Unknown),
    ("MIN", Aggregate("min"), Class::Unknown),
    ("MAX", Aggregate("max"), Class::Unknown),
    ("STDDEV", Aggregate("stddev_samp"), Class::Float),
    ("STDDEV_POP", Aggregate("stddev_pop"), Class::Float),
    ("STDDEV_SAMP", Aggregate("stddev_samp"), Class::Float),
    ("VAR_POP", Aggregate("var_pop"), Class::Float),
    ("VAR_SAMP", Aggregate("var_samp"), Class::Float),
    ("KDA_ANY", Aggregate("kda_any"), Class::Boolean),
    ("SOME", Aggregate("kda_any"), Class::Boolean),
    ("EVERY", Aggregate("kda_every"), Class::Boolean),
    ("EXP_AVG", Analytic("kda_exp_avg"), Class::Float),
    ("FIRST_VALUE", Aggregate("first_value"), Class::Unknown),
    ("LAST_VALUE", Aggregate("last_value"), Class::Unknown),
    ("NTH_VALUE", Analytic("nth_value"), Class::Unknown),
    (NTH_FROM_LAST, Analytic("nth_value"), Class::Unknown),
    ("LAG", Analytic("lag"), Class::Unknown),
    ("ABS", Scalar("kda_abs"), Class::Unknown),
    ("EXP", Scalar("kda_exp"), Class::Float),
    ("LN", Scalar("kda_ln"), Class::Float),
    ("LOG10", Scalar("kda_log10"), Class::Float),
    ("MOD", Scalar("kda_mod"), Class::Unknown),
    ("POWER", Scalar("kda_power"), Class::Float),
    ("SQRT", Scalar("kda_sqrt"), Class::Float),
    ("SIGN", Scalar("signum"), Class::Unknown),
    ("ROUND", Scalar("round"), Class::Unknown),
    ("TSDIFF", Scalar("kda_tsdiff"), Class::Integer),
    ("UNIX_TIMESTAMP", Scalar("kda_unix_timestamp"), Class::Integer),
    ("TO_TIMESTAMP", Scalar("kda_to_timestamp"), Class::Time),
    ("CHAR_TO_TIMESTAMP", Scalar("kda_char_to_timestamp"), Class::Time),
    ("CHAR_TO_DATE", Scalar("kda_char_to_date"), Class::Time),
    ("CHAR_TO_TIME", Scalar("kda_char_to_time"), Class::Time),
    ("TIMESTAMP_TO_CHAR", Scalar("kda_timestamp_to_char"), Class::Text),
    ("DATE_TO_CHAR", Scalar("kda_date_to_char"), Class::Text),
    ("TIME_TO_CHAR", Scalar("kda_time_to_char"), Class::Text),
    ("CHAR_LENGTH", Scalar("char_length"), Class::Integer),
    ("CHARACTER_LENGTH", Scalar("char_length"), Class::Integer),
    ("INITCAP", Scalar("initcap"), Class::Text),
    ("LOWER", Scalar("lower"), Class::Text),
    ("UPPER", Scalar("upper"), Class::Text),
    ("TRIM", Scalar("trim"), Class::Text),
    ("LTRIM", Scalar("ltrim"), Class::Text),
    ("RTRIM", Scalar("rtrim"), Class::Text),
    ("SUBSTR", Scalar("kda_substring"), Class::Text),
    ("SUBSTRING", Scalar("kda_substring"), Class::Text),
    ("REPLACE", Scalar("replace"), Class::Text),
    ("CONCAT", Scalar("concat"), Class::Text),
    ("REGEX_REPLACE", Scalar("kda_regex_replace"), Class::Text),
    ("COALESCE", Scalar("coalesce"), Class::Unknown),
    ("NULLIF", Scalar("nullif"), Class::Unknown),
    ("GREATEST", Scalar("greatest"), Class::Unknown),
    ("LEAST", Scalar("least"), Class::Unknown),
    ("REGEX_LOG_PARSE", Scalar("kda_regex_log_parse"), Class::Record),
    ("FAST_REGEX_LOG_PARSE", Scalar("kda_fast_regex_log_parse"), Class::Record),
    ("FAST_REGEX_LOG_PARSER", Scalar("kda_fast_regex_log_parser"), Class::Record),
    ("VARIABLE_COLUMN_LOG_PARSE", Scalar("kda_variable_column_log_parse"), Class::Record),
    ("VARIABLE_COLUMN_LOG_PARSER", Scalar("kda_variable_column_log_parse"), Class::Record),
    ("FIXED_COLUMN_LOG_PARSE", Scalar("kda_fixed_column_log_parse"), Class::Record),
    ("FIXED_COLUMN_LOG_PARSER", Scalar("kda_fixed_column_log_parse"), Class::Record),
    ("SYS_LOG_PARSE", Scalar("kda_sys_log_parse"), Class::Record),
    ("SYS_LOG_PARSER", Scalar("kda_sys_log_parse"), Class::Record),
    ("W3C_LOG_PARSE", Scalar("kda_w3c_log_parse"), Class::Record),
    ("W3C_LOG_PARSER", Scalar("kda_w3c_log_parse"), Class::Record),
    ("CURRENT_DATE", Scalar("current_date"), Class::Time),
    ("CURRENT_TIME", Scalar("current_time"), Class::Time),
    ("CURRENT_TIMESTAMP", Scalar("now"), Class::Time),
    ("LOCALTIME", Scalar("current_time"), Class::Time),
    ("LOCALTIMESTAMP", Scalar("now"), Class::Time),
    ("CURRENT_ROW_TIMESTAMP", Scalar("now"), Class::Time),
];

/// What computes a function, and the class of its result.
pub(super) fn function(name: &str) -> Option<(Call, Class)> {
    FUNCTIONS.iter().find(|(known, ..)| *known == name).map(|(_, call, class)| (*call, *class))
}

/// The type of a native function's result, where it is always the same.
pub(super) fn result_type(native: &str) -> Option<KdaType> {
    Some(match native {
        "count" | "kda_tsdiff" | "kda_unix_timestamp" => KdaType::BigInt,
        "kda_to_timestamp" | "kda_char_to_timestamp" => KdaType::Timestamp,
        "kda_char_to_date" => KdaType::Date,
        "kda_char_to_time" => KdaType::Time,
        _ => return None,
    })
}

/// Names that were never KDA's, and what KDA calls it.
pub(super) fn never_was(name: &str) -> Option<&'static str> {
    Some(match name {
        "TUMBLE" | "TUMBLE_START" | "TUMBLE_END" => {
            "tumbling windows are GROUP BY STEP(s.ROWTIME BY INTERVAL '1' MINUTE)"
        }
        "HOP" | "HOP_START" | "HOP_END" => "sliding windows are agg(x) OVER (RANGE INTERVAL '1' MINUTE PRECEDING)",
        "SESSION" | "SESSION_START" | "SESSION_END" => {
            "windows that a row opens are WINDOWED BY STAGGER (PARTITION BY k RANGE INTERVAL '1' MINUTE)"
        }
        "JSON_VALUE" | "JSON_QUERY" => "JSON is taken apart by the Mapping of RecordColumns, such as $.a.b",
        "RANGE_INTERVAL" => "write RANGE INTERVAL '1' MINUTE PRECEDING",
        "ROWTIME_TO_TIMESTAMP" => "ROWTIME is a TIMESTAMP: use it as it is",
        "DATEDIFF" | "TIMESTAMPDIFF" => "write TSDIFF(start, end), or (a - b) SECOND",
        "DATE_TRUNC" => "write FLOOR(t TO MINUTE)",
        "NOW" | "GETDATE" => "write CURRENT_TIMESTAMP",
        "TO_CHAR" | "DATE_FORMAT" => "write TIMESTAMP_TO_CHAR('yyyy-MM-dd', t)",
        "IFNULL" | "NVL" => "write COALESCE(a, b)",
        "LEN" | "LENGTH" => "write CHAR_LENGTH(s)",
        "IF" => "write CASE WHEN … THEN … ELSE … END",
        "ROW_NUMBER" | "RANK" | "DENSE_RANK" => "rows are ranked by TABLE(GROUP_RANK(CURSOR(…), …))",
        _ => return None,
    })
}

/// The known name that is nearest to an unknown one.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let close = |known: &&str| edit_distance(known, name) <= 2;
    FUNCTIONS.iter().map(|(known, ..)| *known).filter(close).min_by_key(|known| edit_distance(known, name))
}
