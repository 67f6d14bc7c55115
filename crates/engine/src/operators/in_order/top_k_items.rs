//! `top_k_items_tumbling`: the most frequent items of each window, the most frequent first, and how often they came.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use millstream_analytics::{LoadError, TopK};

use super::tumbling::WindowItems;

/// The items of a window, as texts.
#[derive(Clone)]
pub(super) struct TopItems {
    k: usize,
    /// What the items were before they became texts.
    data_type: DataType,
    items: TopK,
}

impl TopItems {
    pub(super) fn new(k: usize, data_type: DataType) -> Self {
        Self { k, data_type, items: TopK::default() }
    }
}

impl WindowItems for TopItems {
    fn add(&mut self, item: &str) {
        self.items.add(item.as_bytes());
    }

    fn tell(&self) -> Result<(Option<ArrayRef>, Int64Array)> {
        let top = self.items.top(self.k);
        let texts = StringArray::from_iter_values(top.iter().map(|top| String::from_utf8_lossy(&top.item)));
        let counts = top.iter().map(|top| i64::try_from(top.count).unwrap_or(i64::MAX)).collect();
        Ok((Some(cast(&(Arc::new(texts) as ArrayRef), &self.data_type)?), counts))
    }

    fn bytes(&self) -> usize {
        self.items.bytes()
    }

    fn save(&self) -> Vec<u8> {
        self.items.save()
    }

    fn loaded(&self, bytes: &[u8]) -> Result<Self, LoadError> {
        Ok(Self { items: TopK::load(bytes)?, ..self.clone() })
    }
}
