//! `random_cut_forest` and `random_cut_forest_with_explanation`: each row with its anomaly score among those before it.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use millstream_analytics::{ForestParameters, RandomCutForest, Scored};
use millstream_core::EventTime;
use millstream_sql::Explained;

use super::points::Points;
use super::{InOrderLogic, Output, state_bytes};
use crate::checkpoint::{Saved, Saver, Slot};

/// See the module.
pub(super) struct Forest {
    parameters: ForestParameters,
    explained: Explained,
    columns: Vec<usize>,
    /// The columns' names, as JSON has them.
    names: Vec<String>,
    scorer: RandomCutForest,
    slot: Slot,
}

impl Forest {
    pub(super) fn new(
        schema: &SchemaRef,
        columns: Vec<usize>,
        parameters: ForestParameters,
        explained: Explained,
    ) -> Result<Self> {
        let wrong = |error: &dyn std::fmt::Display| DataFusionError::Internal(error.to_string());
        let name = |column: &usize| serde_json::to_string(schema.field(*column).name());
        let names = columns.iter().map(name).collect::<Result<_, _>>().map_err(|error| wrong(&error))?;
        let scorer = RandomCutForest::new(parameters.clone()).map_err(|error| wrong(&error))?;
        Ok(Self { parameters, explained, columns, names, scorer, slot: Slot::default() })
    }

    /// In the form of AWS: `{"x":{"DIRECTION":"LOW","STRENGTH":"0.0922","ATTRIBUTION_SCORE":"0.3792"},…}`. The strength
    /// is by how much one direction outweighs the other; before there is a score it is 0, and the direction LOW.
    fn explanation(&self, scored: &Scored) -> String {
        let mut text = String::from("{");
        for (name, part) in self.names.iter().zip(&scored.attribution) {
            let comma = if text.len() > 1 { "," } else { "" };
            let direction = if part.high > part.low { "HIGH" } else { "LOW" };
            let strength = (part.high - part.low).abs();
            let told = match self.explained {
                Explained::WithDirections => format!(r#""DIRECTION":"{direction}","STRENGTH":"{strength:.4}","#),
                Explained::No | Explained::ByColumns => String::new(),
            };
            let score = part.low + part.high;
            // Writing to a text cannot fail.
            _ = write!(text, r#"{comma}{name}:{{{told}"ATTRIBUTION_SCORE":"{score:.4}"}}"#);
        }
        text + "}"
    }
}

impl InOrderLogic for Forest {
    fn push(&mut self, rows: &RecordBatch, _: &[i64], output: &mut Output) -> Result<()> {
        self.slot = Slot::default();
        let mut points = Points::new(rows, &self.columns)?;
        let mut scores = Vec::with_capacity(rows.num_rows());
        let mut explanations = Vec::new();
        for row in 0..rows.num_rows() {
            if self.explained == Explained::No {
                scores.push(self.scorer.score(points.of(row)));
            } else {
                let scored = self.scorer.explain(points.of(row));
                scores.push(scored.score);
                explanations.push(self.explanation(&scored));
            }
        }
        let scores: ArrayRef = Arc::new(Float64Array::from(scores));
        let explanations =
            (self.explained != Explained::No).then(|| -> ArrayRef { Arc::new(StringArray::from(explanations)) });
        output.give(rows, std::iter::once(scores).chain(explanations))
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
        self.scorer.bytes()
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        state_bytes::save(saver, &mut self.slot, || self.scorer.save())
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        let read = |bytes: &[u8]| RandomCutForest::load(self.parameters.clone(), bytes);
        if let Some((scorer, slot)) = state_bytes::load(saved, read)? {
            (self.scorer, self.slot) = (scorer, slot);
        }
        Ok(())
    }
}
