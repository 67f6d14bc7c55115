//! `geo_within_polygon(lat, lon, polygon)`: whether a point lies in a polygon in WKT. A literal is read once, when the
//! query is planned; of a column, each text that differs from the one before it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_datafusion_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::geography::{check, columns};
use super::polygon::Polygons;

#[derive(Debug)]
pub(super) struct WithinPolygon {
    /// The literal it is called with, once that has been read.
    literal: Option<(String, Arc<Polygons>)>,
    signature: Signature,
}

impl WithinPolygon {
    pub(super) fn new() -> Self {
        let types = vec![DataType::Float64, DataType::Float64, DataType::Utf8];
        Self { literal: None, signature: Signature::exact(types, Volatility::Immutable) }
    }

    fn parsed(&self, text: &str) -> Result<Arc<Polygons>> {
        match &self.literal {
            Some((literal, polygons)) if literal == text => Ok(Arc::clone(polygons)),
            _ => Ok(Arc::new(Polygons::parse(text).map_err(|wrong| exec_datafusion_err!("{wrong}"))?)),
        }
    }
}

impl ScalarUDFImpl for WithinPolygon {
    fn name(&self) -> &'static str {
        "geo_within_polygon"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    /// Refuses a literal that is no polygon when the query is planned.
    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let polygon = args.scalar_arguments.get(2).copied().flatten();
        if let Some(text) = polygon.and_then(|polygon| polygon.try_as_str().flatten())
            && self.literal.is_none()
        {
            Polygons::parse(text).map_err(|wrong| plan_datafusion_err!("{wrong}"))?;
        }
        Ok(Arc::new(Field::new(self.name(), DataType::Boolean, true)))
    }

    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let literal = match args.get(2) {
            Some(Expr::Literal(literal, _)) if self.literal.is_none() => literal.try_as_str().flatten(),
            _ => None,
        };
        let Some(text) = literal else { return Ok(ExprSimplifyResult::Original(args)) };
        let literal = Some((text.to_owned(), self.parsed(text)?));
        let read = ScalarUDF::from(Self { literal, signature: self.signature.clone() });
        Ok(ExprSimplifyResult::Simplified(read.call(args)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [_, _, polygon] = args.args.as_slice() else {
            return exec_err!("{} takes a point and a polygon", self.name());
        };
        let rows = args.number_rows;
        let points = columns(&args.args[..2], rows)?;
        let point = |row: usize| -> Result<Option<(f64, f64)>> {
            let [latitudes, longitudes] = [&points[0], &points[1]];
            if latitudes.is_null(row) || longitudes.is_null(row) {
                return Ok(None);
            }
            let (latitude, longitude) = (latitudes.value(row), longitudes.value(row));
            check(latitude, longitude)?;
            Ok(Some((latitude, longitude)))
        };
        let within = match polygon {
            ColumnarValue::Scalar(text) => {
                let polygons = text.try_as_str().flatten().map(|text| self.parsed(text)).transpose()?;
                let row = |row| {
                    Ok(point(row)?.zip(polygons.as_ref()).map(|((lat, lon), polygons)| polygons.contains(lat, lon)))
                };
                (0..rows).map(row).collect::<Result<BooleanArray>>()?
            }
            ColumnarValue::Array(texts) => {
                let texts: StringArray = arrow::compute::cast(texts, &DataType::Utf8)?.as_string::<i32>().clone();
                let mut last: Option<(&str, Arc<Polygons>)> = None;
                let row = |row| {
                    let Some((latitude, longitude)) = point(row)?.filter(|_| texts.is_valid(row)) else {
                        return Ok(None);
                    };
                    let text = texts.value(row);
                    let polygons = match last.take() {
                        Some((known, polygons)) if known == text => polygons,
                        _ => self.parsed(text)?,
                    };
                    let within = polygons.contains(latitude, longitude);
                    last = Some((text, polygons));
                    Ok(Some(within))
                };
                (0..rows).map(row).collect::<Result<BooleanArray>>()?
            }
        };
        Ok(ColumnarValue::Array(Arc::new(within)))
    }
}

impl PartialEq for WithinPolygon {
    fn eq(&self, other: &Self) -> bool {
        // The text says it all: the polygons are what it reads as.
        self.literal.as_ref().map(|(text, _)| text) == other.literal.as_ref().map(|(text, _)| text)
    }
}

impl Eq for WithinPolygon {}

impl Hash for WithinPolygon {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.literal.as_ref().map(|(text, _)| text).hash(state);
    }
}
