//! `CREATE TABLE … WITH (…)`, laid out as a person would.

use std::fmt;

/// A line up to here stays one line.
const LINE_LETTERS_MAX: usize = 110;

/// A table.
#[derive(Default)]
pub(crate) struct Table {
    /// Lines of comment above it.
    pub(crate) comments: Vec<String>,
    pub(crate) name: String,
    /// Names and types; none, where the compiler takes them from elsewhere.
    pub(crate) columns: Vec<(String, String)>,
    pub(crate) options: Vec<(String, String)>,
    /// The table that it has its columns from.
    pub(crate) like: Option<String>,
}

impl Table {
    pub(crate) fn new(name: impl Into<String>, connector: &str) -> Self {
        let options = vec![("connector".to_owned(), connector.to_owned())];
        Self { name: name.into(), options, ..Self::default() }
    }

    pub(crate) fn option(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.options.push((key.into(), value.into()));
    }

    pub(crate) fn comment(&mut self, line: &str) {
        self.comments.push(one_line(line));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for comment in &self.comments {
            writeln!(f, "-- {comment}")?;
        }
        write!(f, "CREATE TABLE {}", identifier(&self.name))?;
        if !self.columns.is_empty() {
            let columns: Vec<_> =
                self.columns.iter().map(|(name, sql_type)| format!("  {} {sql_type}", identifier(name))).collect();
            write!(f, " (\n{}\n)", columns.join(",\n"))?;
        }
        let options: Vec<_> =
            self.options.iter().map(|(key, value)| format!("{} = {}", literal(key), literal(value))).collect();
        let line = options.join(", ");
        if self.columns.is_empty() && options.len() == 1 {
            write!(f, " WITH ({line})")?;
        } else if self.columns.is_empty() && line.chars().count() <= LINE_LETTERS_MAX {
            write!(f, " WITH (\n  {line}\n)")?;
        } else {
            write!(f, " WITH (\n  {}\n)", options.join(",\n  "))?;
        }
        if let Some(like) = &self.like {
            write!(f, " LIKE {}", identifier(like))?;
        }
        f.write_str(";\n")
    }
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// For comments: nothing in a name may end them.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_quoted() {
        let mut table = Table::new("a\"b", "it's");
        table.comment("one\nline");
        table.columns.push(("c\"".to_owned(), "DOUBLE".to_owned()));
        table.option("json.path.x'y", "$.z");
        table.like = Some("t".to_owned());
        let expected = "-- one line\nCREATE TABLE \"a\"\"b\" (\n  \"c\"\"\" DOUBLE\n) WITH (\n  'connector' = 'it''s',\n  \
                        'json.path.x''y' = '$.z'\n) LIKE \"t\";\n";
        assert_eq!(table.to_string(), expected);
    }
}
