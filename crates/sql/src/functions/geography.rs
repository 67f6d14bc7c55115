//! Places on Earth, in degrees: `geo_distance` and `geo_within_radius`. The Earth is taken for a sphere, which is wrong
//! by 0.6 % at most. Arguments are latitude first, as one says them; WKT in `geo_within_polygon` is not.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::within_polygon::WithinPolygon;

/// The mean radius of the Earth as the IUGG has it.
const EARTH_RADIUS_METRES: f64 = 6_371_008.8;

pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![
        Arc::new(ScalarUDF::from(Distance { signature: numbers(4) })),
        Arc::new(ScalarUDF::from(WithinRadius { signature: numbers(5) })),
        Arc::new(ScalarUDF::from(WithinPolygon::new())),
    ]
}

fn numbers(count: usize) -> Signature {
    Signature::exact(vec![DataType::Float64; count], Volatility::Immutable)
}

/// Refuses what is no place, for instance when latitude and longitude were exchanged.
pub(super) fn check(latitude: f64, longitude: f64) -> Result<()> {
    if !(-90.0..=90.0).contains(&latitude) {
        return exec_err!("the latitude {latitude} is out of range: -90 to 90");
    }
    if !(-180.0..=180.0).contains(&longitude) {
        return exec_err!("the longitude {longitude} is out of range: -180 to 180");
    }
    Ok(())
}

/// Metres along the great circle, by the haversine formula: exact enough for points close together, too.
fn distance(latitude: f64, longitude: f64, to_latitude: f64, to_longitude: f64) -> Result<f64> {
    check(latitude, longitude)?;
    check(to_latitude, to_longitude)?;
    let half = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
    let (from, to) = (latitude.to_radians(), to_latitude.to_radians());
    let chord = half(latitude, to_latitude) + from.cos() * to.cos() * half(longitude, to_longitude);
    // Rounding may lift points that lie opposite each other above 1.
    Ok(2.0 * EARTH_RADIUS_METRES * chord.min(1.0).sqrt().asin())
}

/// The arguments as columns of numbers.
pub(super) fn columns(args: &[ColumnarValue], rows: usize) -> Result<Vec<Float64Array>> {
    let column = |arg: &ColumnarValue| {
        Ok(arrow::compute::cast(&arg.to_array(rows)?, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
    };
    args.iter().map(column).collect()
}

/// The numbers of a row, if none is NULL.
fn numbers_of<const N: usize>(columns: &[Float64Array], row: usize) -> Option<[f64; N]> {
    use arrow::array::Array;
    let mut numbers = [0.0; N];
    for (number, column) in numbers.iter_mut().zip(columns) {
        *number = column.is_valid(row).then(|| column.value(row))?;
    }
    Some(numbers)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Distance {
    signature: Signature,
}

impl ScalarUDFImpl for Distance {
    fn name(&self) -> &'static str {
        "geo_distance"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args.args, args.number_rows)?;
        let row = |row| {
            let Some([latitude, longitude, to_latitude, to_longitude]) = numbers_of(&columns, row) else {
                return Ok(None);
            };
            distance(latitude, longitude, to_latitude, to_longitude).map(Some)
        };
        let metres = (0..args.number_rows).map(row).collect::<Result<Float64Array>>()?;
        Ok(ColumnarValue::Array(Arc::new(metres) as ArrayRef))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WithinRadius {
    signature: Signature,
}

impl ScalarUDFImpl for WithinRadius {
    fn name(&self) -> &'static str {
        "geo_within_radius"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = columns(&args.args, args.number_rows)?;
        let row = |row| {
            let Some([latitude, longitude, center_latitude, center_longitude, metres]) = numbers_of(&columns, row)
            else {
                return Ok(None);
            };
            if metres < 0.0 || metres.is_nan() {
                return exec_err!("the radius {metres} is out of range: 0 metres or more");
            }
            Ok(Some(distance(latitude, longitude, center_latitude, center_longitude)? <= metres))
        };
        let within = (0..args.number_rows).map(row).collect::<Result<BooleanArray>>()?;
        Ok(ColumnarValue::Array(Arc::new(within) as ArrayRef))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_on_a_sphere() {
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1.0, "{found} is not {expected}");
        let quarter = std::f64::consts::FRAC_PI_2 * EARTH_RADIUS_METRES;
        close(distance(0.0, 0.0, 90.0, 0.0).unwrap(), quarter);
        close(distance(0.0, 0.0, 0.0, 180.0).unwrap(), 2.0 * quarter);
        close(distance(12.5, -180.0, 12.5, 180.0).unwrap(), 0.0);
        close(distance(0.0, 179.5, 0.0, -179.5).unwrap(), quarter / 90.0);
        // Paris to London, as other implementations with this radius have it.
        close(distance(48.8566, 2.3522, 51.5074, -0.1278).unwrap(), 343_556.5);
        close(distance(-33.0, 151.0, 33.0, -29.0).unwrap(), 2.0 * quarter);
        close(distance(1.0, 2.0, 1.0, 2.0).unwrap(), 0.0);
    }

    #[test]
    fn places_that_are_none_are_refused() {
        for (latitude, longitude) in [(90.1, 0.0), (-91.0, 0.0), (0.0, 180.5), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert!(check(latitude, longitude).is_err(), "{latitude} {longitude}");
        }
    }
}
