//! Algorithms over streams: each takes one item after the other, keeps a state of bounded size, and can save it.
//!
//! Pure: no clock, no I/O, no chance but from a seed that is given, so that the same items give the same answers,
//! after a restart too. No SQL either: the engine's operators bring rows here and answers back.

mod distinct_count;
mod hotspots;
mod parameters;
mod random;
mod random_cut_forest;
mod saved;
mod stable_hash;
mod top_k;

pub use distinct_count::DistinctCount;
pub use hotspots::{Hotspot, HotspotParameters, Hotspots};
pub use parameters::BadParameter;
pub use random_cut_forest::{Attribution, ForestParameters, RandomCutForest, Scored};
pub use saved::LoadError;
pub use top_k::{Counted, TopK};
