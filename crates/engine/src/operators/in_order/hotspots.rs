//! `hotspots`: each row with the dense regions among the last rows.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use millstream_analytics::{HotspotParameters, Hotspots};
use millstream_core::EventTime;
use serde::Serialize;

use super::points::Points;
use super::{InOrderLogic, Output, state_bytes};
use crate::checkpoint::{Saved, Saver, Slot};

/// See the module.
pub(super) struct HotspotsOfRows {
    parameters: HotspotParameters,
    columns: Vec<usize>,
    hotspots: Hotspots,
    slot: Slot,
}

/// A row's result, in the form of AWS.
#[derive(Serialize)]
struct Told {
    hotspots: Vec<ToldHotspot>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldHotspot {
    density: f64,
    min_values: Vec<f64>,
    max_values: Vec<f64>,
}

impl HotspotsOfRows {
    pub(super) fn new(columns: Vec<usize>, parameters: HotspotParameters) -> Result<Self> {
        let hotspots =
            Hotspots::new(parameters.clone()).map_err(|error| DataFusionError::Internal(error.to_string()))?;
        Ok(Self { parameters, columns, hotspots, slot: Slot::default() })
    }

    fn told(&self) -> Result<String> {
        let told = self.hotspots.find().into_iter().map(|found| ToldHotspot {
            density: found.density,
            min_values: found.min_values,
            max_values: found.max_values,
        });
        serde_json::to_string(&Told { hotspots: told.collect() })
            .map_err(|error| DataFusionError::Internal(error.to_string()))
    }
}

impl InOrderLogic for HotspotsOfRows {
    fn push(&mut self, rows: &RecordBatch, _: &[i64], output: &mut Output) -> Result<()> {
        self.slot = Slot::default();
        let mut points = Points::new(rows, &self.columns)?;
        let mut results = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            self.hotspots.add(points.of(row));
            results.push(self.told()?);
        }
        output.give(rows, [Arc::new(StringArray::from(results)) as _])
    }

    fn advance(&mut self, _: EventTime, _: &mut Output) -> Result<()> {
        Ok(())
    }

    fn watermark(&self, input: EventTime) -> EventTime {
        input
    }

    fn len(&self) -> usize {
        0
    }

    fn bytes(&self) -> usize {
        self.hotspots.bytes()
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        state_bytes::save(saver, &mut self.slot, || self.hotspots.save())
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        let read = |bytes: &[u8]| Hotspots::load(self.parameters.clone(), bytes);
        if let Some((hotspots, slot)) = state_bytes::load(saved, read)? {
            (self.hotspots, self.slot) = (hotspots, slot);
        }
        Ok(())
    }
}
