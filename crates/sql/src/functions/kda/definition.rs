//! What a scalar function of KDA is made of: names, types taken and given, and its computation over columns.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::type_name;

pub(super) const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);
pub(super) const TIME: DataType = DataType::Time32(TimeUnit::Millisecond);
pub(super) const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// A scalar function, as a constant of its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Definition {
    pub(super) name: &'static str,
    /// Its bare name, where DataFusion has none such.
    pub(super) alias: Option<&'static str>,
    /// How to write it, for who did not.
    pub(super) usage: &'static str,
    /// The types its arguments are converted to; `None` if it takes no such.
    pub(super) takes: fn(&[DataType]) -> Option<Vec<DataType>>,
    pub(super) gives: fn(&Given<'_>) -> Result<DataType>,
    pub(super) compute: fn(&Arguments<'_>) -> Result<ArrayRef>,
    /// The same in other words that are faster, if there are.
    pub(super) simplify: fn(&[Expr], &SimplifyContext) -> Result<Option<Expr>>,
}

/// What is known of a call when it is planned.
pub(super) struct Given<'a> {
    pub(super) types: Vec<&'a DataType>,
    literals: &'a [Option<&'a ScalarValue>],
}

impl Given<'_> {
    /// A text that stands in the query itself.
    pub(super) fn text(&self, index: usize) -> Option<&str> {
        self.literals.get(index).copied().flatten().and_then(|value| value.try_as_str().flatten())
    }

    /// A whole number that stands in the query itself.
    pub(super) fn count(&self, index: usize) -> Option<i64> {
        match self.literals.get(index).copied().flatten()?.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(count)) => count,
            _ => None,
        }
    }
}

/// The arguments of some rows.
pub(super) struct Arguments<'a> {
    values: &'a [ColumnarValue],
    pub(super) rows: usize,
    pub(super) gives: &'a DataType,
}

impl Arguments<'_> {
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn column(&self, index: usize) -> Result<ArrayRef> {
        match self.values.get(index) {
            Some(value) => value.to_array(self.rows),
            None => exec_err!("argument {} is missing", index + 1),
        }
    }

    pub(super) fn texts(&self, index: usize) -> Result<StringArray> {
        Ok(cast(&self.column(index)?, &DataType::Utf8)?.as_string::<i32>().clone())
    }

    /// A text that is the same in all rows; `None` if it is not, or NULL.
    pub(super) fn literal(&self, index: usize) -> Option<&str> {
        match self.values.get(index) {
            Some(ColumnarValue::Scalar(value)) => value.try_as_str().flatten(),
            _ => None,
        }
    }

    /// A word that steers the call, such as a unit or a type.
    pub(super) fn word(&self, index: usize) -> Result<&str> {
        match self.literal(index) {
            Some(word) => Ok(word),
            None => exec_err!("argument {} must be a text in quotes, not a column or NULL", index + 1),
        }
    }
}

impl Definition {
    pub(super) fn function(self) -> impl ScalarUDFImpl {
        let aliases = self.alias.map(str::to_owned).into_iter().collect();
        Function { definition: self, aliases, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

/// A definition, as DataFusion calls it.
#[derive(Debug)]
struct Function {
    definition: Definition,
    aliases: Vec<String>,
    signature: Signature,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.definition.name == other.definition.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.definition.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.definition.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let types: Vec<_> = given.iter().map(common_type).collect();
        match (self.definition.takes)(&types) {
            Some(types) => Ok(types),
            None => {
                let given: Vec<_> = given.iter().map(type_name).collect();
                plan_err!("write {}, found {}", self.definition.usage, given.join(", "))
            }
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        (self.definition.gives)(&Given { types: types.iter().collect(), literals: &[] })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types = args.arg_fields.iter().map(|field| field.data_type()).collect();
        let gives = (self.definition.gives)(&Given { types, literals: args.scalar_arguments })?;
        Ok(Arc::new(Field::new(self.definition.name, gives, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = Arguments { values: &args.args, rows: args.number_rows, gives: args.return_field.data_type() };
        Ok(ColumnarValue::Array((self.definition.compute)(&arguments)?))
    }

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match (self.definition.simplify)(&args, context)? {
            Some(simpler) => ExprSimplifyResult::Simplified(simpler),
            None => ExprSimplifyResult::Original(args),
        })
    }
}

/// For functions that are as simple as they get.
#[expect(clippy::unnecessary_wraps, reason = "its type is that of all simplifications")]
pub(super) fn as_it_is(_: &[Expr], _: &SimplifyContext) -> Result<Option<Expr>> {
    Ok(None)
}

/// The one type of each kind that KDA's functions compute with.
fn common_type(given: &DataType) -> DataType {
    match given {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal256(precision, scale) => DataType::Decimal128((*precision).min(38), *scale),
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => TIME,
        DataType::Timestamp(..) => TIMESTAMP,
        DataType::Interval(_) | DataType::Duration(_) => INTERVAL,
        other => other.clone(),
    }
}

/// The type in which two numbers are alike: floats before decimals before whole numbers.
pub(super) fn wider(one: &DataType, other: &DataType) -> DataType {
    use DataType::{Decimal128, Float32, Float64};
    match (one, other) {
        (Float32, other) | (other, Float32) if *other == Float32 || other.is_integer() => Float32,
        (Float32 | Float64, _) | (_, Float32 | Float64) => Float64,
        (Decimal128(p1, s1), Decimal128(p2, s2)) => {
            let scale = *s1.max(s2);
            let whole = (i16::from(*p1) - i16::from(*s1)).max(i16::from(*p2) - i16::from(*s2));
            Decimal128(u8::try_from(whole + i16::from(scale)).unwrap_or(38).min(38), scale)
        }
        (Decimal128(..), other) => wider(one, &as_decimal(other)),
        (one, Decimal128(..)) => wider(&as_decimal(one), other),
        _ if one.primitive_width() < other.primitive_width() => other.clone(),
        _ => one.clone(),
    }
}

/// A whole number is a decimal without decimals.
pub(super) fn as_decimal(kind: &DataType) -> DataType {
    let digits = match kind {
        DataType::Int8 => 3,
        DataType::Int16 => 5,
        DataType::Int32 => 10,
        DataType::Int64 => 19,
        other => return other.clone(),
    };
    DataType::Decimal128(digits, 0)
}
