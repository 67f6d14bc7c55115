//! Functions over the rows of a stream in the order of event time, as a node of the logical plan:
//! `TABLE(STAGGER(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' MINUTE))`. Rows of one time are in the order of
//! their arrival. What the functions are is in `function`, how calls become nodes in `call`; the engine runs them.
//!
//! A new function is a variant of [`InOrderFunction`] with what it adds and gives, a line in `call`'s table, and a file
//! in `engine/src/operators/in_order/`.

mod analytics;
mod call;
mod function;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::{DFSchema, DFSchemaRef, TableReference};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, UserDefinedLogicalNodeCore};

use crate::SqlError;
pub(crate) use call::{InOrderFunctions, names};
pub(crate) use function::{Added, ResultTime};
pub use function::{Explained, InOrderFunction, Reach};

/// Gives rows in the order of time to a function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InOrder {
    pub input: LogicalPlan,
    pub function: InOrderFunction,
    /// The columns of the input that the function was given by DESCRIPTOR; the first is the time.
    pub columns: Vec<Expr>,
    schema: DFSchemaRef,
}

impl InOrder {
    /// The node over `input`: `columns` must be columns of it, and those that are times timestamps.
    pub fn try_new(input: LogicalPlan, function: InOrderFunction, columns: Vec<Expr>) -> Result<Self> {
        let name = function.name();
        let mut zone = None;
        for (index, column) in columns.iter().enumerate() {
            let data_type = column.get_type(input.schema())?;
            match data_type {
                DataType::Timestamp(_, of_column) if index == 0 => zone = of_column,
                DataType::Timestamp(..) => {}
                other if function.is_time(index) => {
                    let message = format!("{name} needs a TIMESTAMP, but {column} is {other}");
                    return Err(SqlError::new(message).into());
                }
                _ => {}
            }
        }
        let field =
            |(qualifier, field): (Option<&TableReference>, &Arc<Field>)| (qualifier.cloned(), Arc::clone(field));
        let mut fields: Vec<(Option<TableReference>, Arc<Field>)> = match function.passes() {
            None => input.schema().iter().map(field).collect(),
            Some(passes) => {
                let places = places(&passes.iter().map(|column| columns[*column].clone()).collect::<Vec<_>>(), &input)?;
                places.into_iter().map(|place| field(input.schema().qualified_field(place))).collect()
            }
        };
        for Added { name: column, data_type, .. } in function.adds(&time_name(&columns[0])) {
            if fields.iter().any(|(_, field)| *field.name() == column) {
                let message = format!("the input of {name} has a column `{column}` already");
                return Err(SqlError::new(message).hint("give it another name with AS in a subquery").into());
            }
            let data_type = match data_type {
                DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
                other => other,
            };
            fields.push((None, Arc::new(Field::new(column, data_type, false))));
        }
        let schema = Arc::new(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?);
        Ok(Self { input, function, columns, schema })
    }

    /// The time that rows are in the order of.
    pub(crate) fn time(&self) -> &Expr {
        &self.columns[0]
    }

    /// Where the columns are in the input.
    pub fn places(&self) -> Result<Vec<usize>> {
        places(&self.columns, &self.input)
    }

    /// The columns that the function adds.
    pub(crate) fn adds(&self) -> Vec<Added> {
        self.function.adds(&time_name(&self.columns[0]))
    }
}

fn places(columns: &[Expr], input: &LogicalPlan) -> Result<Vec<usize>> {
    let place = |column: &Expr| match column {
        Expr::Column(column) => input.schema().index_of_column(column),
        other => Err(DataFusionError::Internal(format!("{other} is not a column"))),
    };
    columns.iter().map(place).collect()
}

fn time_name(time: &Expr) -> String {
    match time {
        Expr::Column(column) => column.name.clone(),
        other => other.to_string(),
    }
}

impl PartialOrd for InOrder {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.function.to_string().cmp(&other.function.to_string()) {
            Ordering::Equal => self.input.partial_cmp(&other.input),
            unequal => Some(unequal),
        }
    }
}

/// Conditions stay above it, as they do unless a node says otherwise: without some of its rows it would be another.
impl UserDefinedLogicalNodeCore for InOrder {
    fn name(&self) -> &'static str {
        "InOrder"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.columns.clone()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<String> = self.columns.iter().map(ToString::to_string).collect();
        write!(f, "{} on {}", self.function, columns.join(", "))
    }

    fn with_exprs_and_inputs(&self, columns: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let (false, Some(input)) = (columns.is_empty(), inputs.pop()) else {
            return Err(DataFusionError::Internal("rows in order have a time and one input".to_owned()));
        };
        Self::try_new(input, self.function.clone(), columns)
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let passed = if self.function.passes().is_none() { self.input.schema().fields().len() } else { 0 };
        let asked = output_columns.iter().copied().filter(|column| *column < passed);
        let necessary: BTreeSet<usize> = asked.chain(self.places().ok()?).collect();
        Some(vec![necessary.into_iter().collect()])
    }
}
