//! Rows as `run` prints them: read, and brought into a form in which equal rows are equal texts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::anyhow;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A row of a table, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) table: String,
    /// Counted from 1.
    pub(crate) line: u64,
    /// The JSON object as it was written.
    pub(crate) text: String,
    /// Its members, each in its only form: names in order, no spaces, numbers digit by digit as they were written.
    pub(super) members: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    table: Cow<'a, str>,
    #[serde(borrow)]
    row: &'a RawValue,
}

/// Reads lines `{"table":…,"row":{…}}`.
pub(crate) fn read(text: &str) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let row = read_line(line, text);
        let row = row.map_err(|error| {
            anyhow!(
                "line {line}: {error}; a line is {{\"table\":\"name\",\"row\":{{…}}}}, as `millstream run` prints it"
            )
        });
        rows.push(row?);
    }
    Ok(rows)
}

fn read_line(line: u64, text: &str) -> Result<Row, serde_json::Error> {
    let Line { table, row } = serde_json::from_str(text)?;
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(row.get())?;
    let members = members.into_iter().map(|(name, value)| Ok((name, canonical(value)?)));
    let members = members.collect::<Result<_, serde_json::Error>>()?;
    Ok(Row { table: table.into_owned(), line, text: row.get().to_owned(), members })
}

/// Numbers keep their digits: a DECIMAL has more of them than a float can tell apart.
fn canonical(value: &RawValue) -> Result<String, serde_json::Error> {
    let text = value.get();
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
            let members = members
                .into_iter()
                .map(|(name, value)| Ok(format!("{}:{}", serde_json::Value::from(name), canonical(value)?)));
            format!("{{{}}}", members.collect::<Result<Vec<_>, serde_json::Error>>()?.join(","))
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            let items = items.into_iter().map(canonical);
            format!("[{}]", items.collect::<Result<Vec<_>, serde_json::Error>>()?.join(","))
        }
        Some(b'"') => serde_json::Value::from(serde_json::from_str::<String>(text)?).to_string(),
        _ => text.to_owned(),
    })
}

/// The rows as lines of a file, a table after the other by name, the rows of each in their order.
pub(super) fn by_table(rows: &[Row]) -> String {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by(|a, b| a.table.cmp(&b.table));
    let line =
        |row: &Row| format!("{{\"table\":{},\"row\":{}}}\n", serde_json::Value::from(row.table.as_str()), row.text);
    rows.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> bool {
        let row = |row: &str| read(&format!("{{\"table\":\"t\",\"row\":{row}}}")).unwrap().remove(0).members;
        row(a) == row(b)
    }

    #[test]
    fn spaces_escapes_and_the_order_of_members_do_not_matter_but_digits_do() {
        assert!(same(r#"{"a":1,"b":{"c":[1,"é"],"d":null}}"#, r#"{"b": {"d":null, "c": [1, "\u00e9"]}, "a": 1}"#));
        assert!(!same(r#"{"a":1}"#, r#"{"a":1.0}"#));
        assert!(!same(r#"{"a":"1"}"#, r#"{"a":1}"#));
        assert!(!same(r#"{"a":12345678901234567.89}"#, r#"{"a":12345678901234567.88}"#));
        assert!(!same(r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#));
    }

    #[test]
    fn a_line_that_is_no_row_is_named() {
        for bad in ["{", r#"{"table":"t"}"#, r#"{"table":"t","row":[1]}"#, r#"{"table":"t","row":{},"x":1}"#] {
            let error = read(&format!("\n{bad}\n")).unwrap_err().to_string();
            assert!(error.starts_with("line 2: ") && error.contains("as `millstream run` prints it"), "{error}");
        }
    }

    #[test]
    fn a_file_has_one_table_after_the_other() {
        let lines =
            "{\"table\":\"b\",\"row\":{\"n\": 2}}\n{\"table\":\"a\",\"row\":{}}\n{\"table\":\"b\",\"row\":{\"n\":1}}\n";
        let sorted =
            "{\"table\":\"a\",\"row\":{}}\n{\"table\":\"b\",\"row\":{\"n\": 2}}\n{\"table\":\"b\",\"row\":{\"n\":1}}\n";
        assert_eq!(by_table(&read(lines).unwrap()), sorted);
    }
}
