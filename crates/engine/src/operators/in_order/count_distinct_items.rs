//! `count_distinct_items_tumbling`: how many different items each window has.

use arrow::array::{ArrayRef, Int64Array};
use datafusion::common::Result;
use millstream_analytics::{DistinctCount, LoadError};

use super::tumbling::WindowItems;

impl WindowItems for DistinctCount {
    fn add(&mut self, item: &str) {
        self.add(item.as_bytes());
    }

    fn tell(&self) -> Result<(Option<ArrayRef>, Int64Array)> {
        Ok((None, Int64Array::from(vec![i64::try_from(self.count()).unwrap_or(i64::MAX)])))
    }

    fn bytes(&self) -> usize {
        self.bytes()
    }

    fn save(&self) -> Vec<u8> {
        self.save()
    }

    fn loaded(&self, bytes: &[u8]) -> Result<Self, LoadError> {
        Self::load(bytes)
    }
}
