//! Parameters of a URL: known ones with their limits, nothing else.

use std::str::FromStr;

use super::Problem;

/// The query part of a URL, in order.
pub(super) type Params = axum::extract::Query<Vec<(String, String)>>;

/// Rows or records answered unless `limit` says otherwise.
const LIMIT_DEFAULT: usize = 100;
/// The most that `limit` may ask for.
const LIMIT_MAX: usize = 10_000;

/// The value of a parameter, read; `None` when it is not given.
pub(super) fn parse<T: FromStr>(params: &Params, name: &str, expected: &str) -> Result<Option<T>, Problem> {
    let Some((_, text)) = params.iter().find(|(key, _)| key == name) else { return Ok(None) };
    let read = text.parse().map_err(|_| Problem::bad_request(format!("`{name}`: `{text}` given, expected {expected}")));
    read.map(Some)
}

/// `limit`, within its bounds.
pub(super) fn limit(params: &Params, default: Option<usize>) -> Result<usize, Problem> {
    let limit = parse(params, "limit", "a number")?.unwrap_or(default.unwrap_or(LIMIT_DEFAULT));
    if limit > LIMIT_MAX {
        let detail = format!("`limit`: {limit} given, the most is {LIMIT_MAX}");
        return Err(
            Problem::bad_request(detail).hint("read page by page with `offset`, or POST a SELECT to /api/v1/sql")
        );
    }
    Ok(limit)
}

/// Refuses parameters that nobody reads.
pub(super) fn only(params: &Params, known: &[&str]) -> Result<(), Problem> {
    match params.iter().find(|(key, _)| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some((key, _)) if known.is_empty() => Err(Problem::bad_request(format!("the parameter `{key}` is unknown"))),
        Some((key, _)) => Err(Problem::bad_request(format!("the parameter `{key}` is unknown"))
            .hint(format!("there are: {}", known.join(", ")))),
    }
}
