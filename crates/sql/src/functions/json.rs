//! JSON in STRING columns. `JSON_VALUE`, `JSON_QUERY` and `JSON_EXISTS` are SQL's and Flink's, by path; `json_get_str`
//! and its like, by keys, are those of `datafusion-functions-json`. What is no JSON, or has no such value, is NULL.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_functions_json::udfs;

use super::json_path::JsonPath;

pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    // Those whose results have a type that a column can have: `json_get` itself answers a union.
    let mut functions = vec![
        udfs::json_as_text_udf(),
        udfs::json_contains_udf(),
        udfs::json_get_bool_udf(),
        udfs::json_get_float_udf(),
        udfs::json_get_int_udf(),
        udfs::json_get_json_udf(),
        udfs::json_get_str_udf(),
        udfs::json_length_udf(),
    ];
    for asks in [Asks::Value, Asks::Query, Asks::Exists] {
        let signature = Signature::string(2, Volatility::Immutable);
        functions.push(Arc::new(ScalarUDF::from(JsonFunction { asks, signature })));
    }
    functions
}

/// What is asked of the value a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Asks {
    /// A text, number or boolean, as STRING.
    Value,
    /// An object or array, as JSON.
    Query,
    /// Whether it is there.
    Exists,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonFunction {
    asks: Asks,
    signature: Signature,
}

impl ScalarUDFImpl for JsonFunction {
    fn name(&self) -> &'static str {
        match self.asks {
            Asks::Value => "json_value",
            Asks::Query => "json_query",
            Asks::Exists => "json_exists",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.asks {
            Asks::Value | Asks::Query => DataType::Utf8,
            Asks::Exists => DataType::Boolean,
        })
    }

    /// Refuses a literal that is no path when the query is planned, not at its first row.
    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let path = args.scalar_arguments.get(1).copied().flatten();
        if let Some(path) = path.and_then(|path| path.try_as_str().flatten()) {
            JsonPath::parse(path).map_err(|wrong| plan_datafusion_err!("{wrong}"))?;
        }
        Ok(Arc::new(Field::new(self.name(), self.return_type(&[])?, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [documents, paths] = args.args.as_slice() else {
            return exec_err!("{} takes a document and a path", self.name());
        };
        let documents = texts(documents, args.number_rows)?;
        let found = match paths {
            ColumnarValue::Scalar(path) => {
                let path = path.try_as_str().flatten().map(parse).transpose()?;
                documents.iter().map(|document| find(document, path.as_ref())).collect::<Vec<_>>()
            }
            ColumnarValue::Array(_) => {
                let paths = texts(paths, args.number_rows)?;
                let rows = documents.iter().zip(paths.iter());
                rows.map(|(document, path)| Ok(find(document, path.map(parse).transpose()?.as_ref())))
                    .collect::<Result<Vec<_>>>()?
            }
        };
        let values = found.iter().map(|found| found.and_then(Found::value));
        let answer: ArrayRef = match self.asks {
            Asks::Exists => {
                let exists = found.iter().map(|found| found.map(|found| found.value().is_some()));
                Arc::new(exists.collect::<BooleanArray>())
            }
            Asks::Value => Arc::new(values.map(|json| scalar(json?)).collect::<StringArray>()),
            Asks::Query => {
                let nested = values.map(|json| json.filter(|json| json.starts_with(['{', '['])));
                Arc::new(nested.collect::<StringArray>())
            }
        };
        Ok(ColumnarValue::Array(answer))
    }
}

fn texts(argument: &ColumnarValue, rows: usize) -> Result<StringArray> {
    Ok(arrow::compute::cast(&argument.to_array(rows)?, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn parse(path: &str) -> Result<JsonPath> {
    JsonPath::parse(path).map_err(|wrong| exec_datafusion_err!("{wrong}"))
}

/// What a path leads to in a document that is JSON.
#[derive(Clone, Copy)]
enum Found<'a> {
    Value(&'a str),
    Nothing,
}

impl<'a> Found<'a> {
    fn value(self) -> Option<&'a str> {
        match self {
            Self::Value(json) => Some(json),
            Self::Nothing => None,
        }
    }
}

/// `None`: there is no document, or it is no JSON.
fn find<'a>(document: Option<&'a str>, path: Option<&JsonPath>) -> Option<Found<'a>> {
    let found = path?.find(document?).ok()?;
    Some(found.map_or(Found::Nothing, Found::Value))
}

/// A text without its quotes, a number or a boolean as it stands.
fn scalar(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str::<String>(json).ok().map(Cow::Owned),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(json)),
    }
}
