//! Where in a document the rows are, and where in a row its columns: the options `json.row-path` and
//! `json.path.<column>`.

use std::collections::HashMap;

use millstream_core::{OptionError, OptionReader, TableDecl};

use super::path::Path;

const ROW_PATH: &str = "json.row-path";
const COLUMN_PATH: &str = "json.path.";

/// The paths of a table.
pub(super) struct Mapping {
    /// To the rows of a document.
    pub(super) row: Path,
    /// To each column, from its row on.
    pub(super) columns: Vec<Path>,
}

impl Mapping {
    /// Reads the options.
    pub(super) fn read(table: &TableDecl, options: &OptionReader<'_>) -> Result<Self, OptionError> {
        let parse = |key: &str, text: &str| Path::parse(text).map_err(|reason| OptionError::new(key, reason));
        let row = options.get(ROW_PATH).map_or(Ok(Path::default()), |text| parse(ROW_PATH, text))?;
        let fields = table.schema.fields();
        let mut columns: Vec<_> = fields.iter().map(|field| Path::of_member(field.name())).collect();
        for (name, text) in options.with_prefix(COLUMN_PATH) {
            let key = format!("{COLUMN_PATH}{name}");
            let Some(place) = fields.iter().position(|field| field.name() == name) else {
                let names: Vec<_> = fields.iter().map(|field| field.name().as_str()).collect();
                let message = format!("there is no column `{name}`; the columns are {}", names.join(", "));
                return Err(OptionError::new(&key, message));
            };
            columns[place] = parse(&key, text)?;
        }
        let mapping = Self { row, columns };
        match mapping.second_array() {
            None => Ok(mapping),
            Some((column, message)) => {
                Err(OptionError::new(&format!("{COLUMN_PATH}{}", fields[column].name()), message))
            }
        }
    }

    /// The column that goes into the elements of a second array: each row would be of an element of both.
    fn second_array(&self) -> Option<(usize, String)> {
        let remedy = "only one array's elements can be rows; leave out what follows `[0:]` to get the whole array";
        let mut first = None;
        for (column, path) in self.columns.iter().enumerate() {
            let Some((array, _)) = path.flattened() else { continue };
            if self.row.array.is_some() {
                return Some((column, format!("goes into an array, and so does '{ROW_PATH}': {remedy}")));
            }
            if *first.get_or_insert(array) != array {
                return Some((column, format!("goes into another array than the columns before it: {remedy}")));
            }
        }
        None
    }

    /// The names of the columns, where each document is a row and each column a member of its own.
    pub(super) fn plain(&self) -> Option<HashMap<String, usize>> {
        if self.row != Path::default() {
            return None;
        }
        let mut by_name = HashMap::with_capacity(self.columns.len());
        for (column, path) in self.columns.iter().enumerate() {
            let [name] = path.names.as_slice() else { return None };
            if path.flattened().is_some() || by_name.insert(name.clone(), column).is_some() {
                return None;
            }
        }
        Some(by_name)
    }
}
