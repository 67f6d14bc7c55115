//! `TABLE(f(CURSOR(SELECT STREAM …), …))`: the functions over whole streams.

use datafusion::sql::sqlparser::ast::{Expr, Function, Spanned, UnaryOperator};

use super::calls::arguments;
use super::columns::{Class, Column, ROWTIME, quote, text};
use super::expr::unnested;
use super::functions::never_was;
use super::select::{Block, Selects};
use super::statements::fold;
use crate::{Position, SqlError};

/// The functions, what they take behind the cursor, and the columns that they give: native name, name, class.
struct Known {
    name: &'static str,
    takes: &'static str,
    least: usize,
    most: usize,
    gives: &'static [(&'static str, &'static str, Class)],
}

const FUNCTIONS: [Known; 6] = [
    Known {
        name: "RANDOM_CUT_FOREST",
        takes: "numberOfTrees, subSampleSize, timeDecay, shingleSize",
        least: 0,
        most: 4,
        gives: &[("anomaly_score", "ANOMALY_SCORE", Class::Float)],
    },
    Known {
        name: "RANDOM_CUT_FOREST_WITH_EXPLANATION",
        takes: "numberOfTrees, subSampleSize, timeDecay, shingleSize, withDirectionality",
        least: 0,
        most: 5,
        gives: &[
            ("anomaly_score", "ANOMALY_SCORE", Class::Float),
            ("anomaly_explanation", "ANOMALY_EXPLANATION", Class::Text),
        ],
    },
    Known {
        name: "HOTSPOTS",
        takes: "windowSize, scanRadius, minimumNumberOfPointsInAHotspot",
        least: 3,
        most: 3,
        gives: &[("hotspots_result", "HOTSPOTS_RESULT", Class::Text)],
    },
    Known { name: "TOP_K_ITEMS_TUMBLING", takes: "'column', k, seconds", least: 3, most: 3, gives: &[] },
    Known { name: "COUNT_DISTINCT_ITEMS_TUMBLING", takes: "'column', seconds", least: 2, most: 2, gives: &[] },
    Known {
        name: "GROUP_RANK",
        takes: "'rankByColumn', 'rankOutColumn', sortOrder, outputOrder, maxIdle, outputMax",
        least: 2,
        most: 6,
        gives: &[],
    },
];

impl Selects<'_> {
    /// The rows that a call in `TABLE(…)` gives.
    pub(super) fn table_function(&mut self, expr: &Expr) -> Result<Block, SqlError> {
        let Expr::Function(call) = unnested(expr) else {
            return Err(SqlError::new("TABLE takes a function of a cursor")
                .hint("write TABLE(RANDOM_CUT_FOREST(CURSOR(SELECT STREAM x FROM s)))"));
        };
        let name = call.name.0.last().and_then(|part| part.as_ident()).map(fold).unwrap_or_default();
        let at = Position::of(call.name.span());
        let Some(known) = FUNCTIONS.iter().find(|known| known.name == name) else {
            let names: Vec<&str> = FUNCTIONS.iter().map(|known| known.name).collect();
            let error = SqlError::new(format!("there is no table function {name}")).at(at);
            return Err(match never_was(&name) {
                Some(form) => error.hint(form),
                None => error.hint(format!("there are {}", names.join(", "))),
            });
        };
        self.call(known, call).map_err(|error| error.at(at))
    }

    fn call(&mut self, known: &Known, call: &Function) -> Result<Block, SqlError> {
        let given = arguments(call)?;
        let wrong = || SqlError::new(format!("{} takes CURSOR(SELECT STREAM …), {}", known.name, known.takes));
        let (cursor, parameters) = given.split_first().ok_or_else(wrong)?;
        let Expr::Subquery(query) = unnested(cursor) else { return Err(wrong()) };
        if parameters.len() < known.least || parameters.len() > known.most {
            return Err(wrong());
        }
        let input = self.block(query)?;
        if !input.is_stream {
            return Err(SqlError::new(format!("the cursor of {} reads no stream", known.name)));
        }
        let mut values = parameters.iter().map(|value| constant(value)).collect::<Result<Vec<_>, _>>()?;
        let time = quote(ROWTIME);
        let native = known.name.to_lowercase();
        let mut columns = input.columns.clone();
        let mut hidden = Vec::new();
        let mut items: Vec<String> =
            columns.iter().filter(|column| column.name != ROWTIME).map(|column| quote(&column.name)).collect();
        let new = |name: &str, class: Class| Column { name: name.to_owned(), class, ..Column::default() };
        match known.name {
            "TOP_K_ITEMS_TUMBLING" => {
                let item = column_named(&mut values, 0, &input)?;
                let counts = ["MOST_FREQUENT_VALUES", "ITEM_COUNT"];
                hidden = vec![Column { name: "ITEM".to_owned(), ..item.clone() }, new(counts[1], Class::Integer)];
                let own = quote(&item.name);
                items = vec![own.clone(), format!("{own} AS \"ITEM\"")];
                items.extend(counts.map(|name| format!("most_frequent_values AS {}", quote(name))));
                columns = vec![Column { mono: None, ..item }, new(counts[0], Class::Integer)];
            }
            "COUNT_DISTINCT_ITEMS_TUMBLING" => {
                column_named(&mut values, 0, &input)?;
                items = vec!["number_of_distinct_items AS \"NUMBER_OF_DISTINCT_ITEMS\"".to_owned()];
                columns = vec![new("NUMBER_OF_DISTINCT_ITEMS", Class::Integer)];
            }
            "GROUP_RANK" => {
                column_named(&mut values, 0, &input)?;
                let out = values[1].trim_matches('\'').replace("''", "'");
                let defaults = ["'asc'", "'asc'", "0", "0"];
                values.extend(defaults.iter().skip(values.len() - 2).map(|value| (*value).to_owned()));
                items.push(quote(&out));
                columns.push(new(&out, Class::Integer));
            }
            _ => {
                for (native, name, class) in known.gives {
                    items.push(format!("{native} AS {}", quote(name)));
                    columns.push(new(name, *class));
                }
            }
        }
        items.push(time.clone());
        let arguments = [vec![format!("({})", input.sql), format!("DESCRIPTOR({time})")], values].concat();
        let sql = format!("SELECT {} FROM TABLE({native}({}))", items.join(", "), arguments.join(", "));
        Ok(Block { sql, columns, hidden, is_stream: true, untimed: None })
    }
}

/// A parameter: a number, a text, TRUE or FALSE.
fn constant(value: &Expr) -> Result<String, SqlError> {
    match unnested(value) {
        Expr::Value(literal) => match literal.value.clone().into_string() {
            Some(value) => Ok(text(&value)),
            None => Ok(literal.to_string().to_uppercase()),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Ok(format!("-{}", constant(expr)?)),
        other => Err(SqlError::new(format!("{other} is no constant")).at(Position::of(other.span()))),
    }
}

/// The column that a parameter names, spelled as it is stored.
fn column_named(values: &mut [String], place: usize, input: &Block) -> Result<Column, SqlError> {
    let name = values[place].trim_matches('\'').replace("''", "'");
    let columns = || input.columns.iter();
    let found = columns()
        .find(|column| column.name == name)
        .or_else(|| columns().find(|column| column.name.eq_ignore_ascii_case(&name)))
        .ok_or_else(|| {
            let names: Vec<&str> = columns().map(|column| column.name.as_str()).collect();
            SqlError::new(format!("the cursor has no column '{name}'")).hint(format!("it has {}", names.join(", ")))
        })?;
    values[place] = text(&found.name);
    Ok(found.clone())
}
