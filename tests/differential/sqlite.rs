//! The second engine: `SQLite` over rows that have their windows already.

use rusqlite::types::Value as Cell;
use rusqlite::{Connection, params_from_iter};
use serde_json::{Value, json};

use super::data::{Record, Row};
use super::expand::{Window, sessions};
use super::query::Query;
use super::render::{Dialect, Render, Step};

/// A database with the accepted rows of both streams; times are milliseconds since 1970.
pub(super) struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    pub(super) fn new(records: &[Record]) -> rusqlite::Result<Self> {
        let connection = Connection::open_in_memory()?;
        for stream in ["a", "b"] {
            connection
                .execute_batch(&format!("CREATE TABLE {stream} (id INTEGER, k TEXT, v REAL, n INTEGER, ts INTEGER)"))?;
            let mut insert = connection.prepare(&format!("INSERT INTO {stream} VALUES (?, ?, ?, ?, ?)"))?;
            for record in records.iter().filter(|record| record.stream == stream && !record.is_rejected()) {
                let Row { id, k, v, n, ts } = &record.row;
                insert.execute((id, k, v, n, ts))?;
            }
        }
        Ok(Self { connection })
    }

    /// The rows of a query.
    pub(super) fn answer(&self, name: &str, query: &Query) -> rusqlite::Result<Vec<Value>> {
        let mut render = Render::new(Dialect::Sqlite, name);
        let sql = query.sql(&mut render);
        for step in render.steps {
            match step {
                Step::View(statement) => self.connection.execute_batch(&statement)?,
                Step::Expand { name, relation, time, window } => self.expand(&name, &relation, time, window)?,
            }
        }
        let (columns, rows) = self.rows(&sql)?;
        let object = |row: Vec<Cell>| columns.iter().cloned().zip(row.into_iter().map(value)).collect();
        Ok(rows.into_iter().map(object).map(Value::Object).collect())
    }

    fn rows(&self, sql: &str) -> rusqlite::Result<(Vec<String>, Vec<Vec<Cell>>)> {
        let mut statement = self.connection.prepare(sql)?;
        let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let rows = statement.query_map([], |row| (0..columns.len()).map(|column| row.get(column)).collect())?;
        let rows = rows.collect::<rusqlite::Result<_>>()?;
        Ok((columns, rows))
    }

    /// A table of the rows of a relation, each once for every window that it is in.
    fn expand(&self, name: &str, relation: &str, time: &str, window: Window) -> rusqlite::Result<()> {
        let (columns, rows) = self.rows(&format!("SELECT * FROM {relation}"))?;
        let place = |name: &str| columns.iter().position(|column| column == name).expect("the relation has the column");
        let time = place(time);
        let times: Vec<i64> = rows.iter().map(|row| integer(&row[time])).collect();
        let windows: Vec<Vec<(i64, i64)>> = match window {
            Window::Session { gap, by_key } => {
                let key = |row: &Vec<Cell>| by_key.then(|| format!("{:?}", row[place("k")]));
                let keyed: Vec<_> = rows.iter().map(key).zip(times).collect();
                sessions(&keyed, gap).into_iter().map(|window| vec![window]).collect()
            }
            window => times.into_iter().map(|at| window.around(at)).collect(),
        };
        let columns = columns.join(", ");
        self.connection
            .execute_batch(&format!("CREATE TABLE {name} ({columns}, window_start, window_end, window_time)"))?;
        let marks = vec!["?"; columns.split(", ").count() + 3].join(", ");
        let mut insert = self.connection.prepare(&format!("INSERT INTO {name} VALUES ({marks})"))?;
        for (row, windows) in rows.iter().zip(windows) {
            for (start, end) in windows {
                let bounds = [start, end, end - 1].map(Cell::Integer);
                insert.execute(params_from_iter(row.iter().chain(&bounds)))?;
            }
        }
        Ok(())
    }
}

fn integer(cell: &Cell) -> i64 {
    match cell {
        Cell::Integer(integer) => *integer,
        other => panic!("{other:?} is no time"),
    }
}

fn value(cell: Cell) -> Value {
    match cell {
        Cell::Null | Cell::Blob(_) => Value::Null,
        Cell::Integer(integer) => json!(integer),
        Cell::Real(real) => json!(real),
        Cell::Text(text) => json!(text),
    }
}
