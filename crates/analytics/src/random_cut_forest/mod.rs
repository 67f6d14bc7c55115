//! Anomaly scores by a random cut forest: Guha, Mishra, Roy and Schrijvers, «Robust Random Cut Forest Based Anomaly
//! Detection on Streams» (2016), with the score and the attribution that AWS gives its `RANDOM_CUT_FOREST` functions.
//!
//! Each tree holds a sample of the points so far (`sample.rs`), newer ones with a greater chance, and cuts space at random
//! until each of them is alone (`tree.rs`). A point that lies apart is soon alone: a tree's score is the expected value of
//! 1 / (depth + 1) of the point, were it inserted, times the logarithm of the tree's points (`scoring.rs`). So scores of
//! usual points are somewhat below 1 and those of unusual ones above it, whatever the units of the data.
//!
//! A shingle is a window of the last few points taken as one point, which finds unusual orders of usual values.

mod sample;
mod scoring;
#[cfg(test)]
mod tests;
mod tree;

use serde::{Deserialize, Serialize};

use crate::parameters::{BadParameter, check};
use crate::random::Random;
use crate::saved::{self, LoadError};

use sample::{SampledTree, SavedTree};
use scoring::Sides;

/// Beyond this a coordinate counts as this: differences of any two stay finite, and so do their sums.
const COORDINATE_MAX: f64 = 1e150;

/// What `RANDOM_CUT_FOREST` takes, with the ranges of AWS.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ForestParameters {
    /// 1 to 1000.
    pub trees: u32,
    /// Points that a tree holds: 10 to 1000.
    pub sample_size: u32,
    /// After how many points one counts for less by e; 1 to 2^31 - 1.
    pub time_decay: u32,
    /// Successive points that are scored as one: 1 to 30.
    pub shingle: u32,
    /// Coordinates of a point: 1 to 30.
    pub dimensions: u32,
    pub seed: u64,
}

impl Default for ForestParameters {
    fn default() -> Self {
        Self { trees: 100, sample_size: 256, time_decay: 100_000, shingle: 1, dimensions: 1, seed: 0 }
    }
}

/// How much of a score comes from a coordinate's being too low, and too high.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Attribution {
    pub low: f64,
    pub high: f64,
}

/// A score, and where it comes from: the parts of all coordinates add up to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    pub score: f64,
    /// One for each coordinate; a shingle's are added up.
    pub attribution: Vec<Attribution>,
}

/// A forest that scores each point by those before it.
///
/// ```
/// use millstream_analytics::{ForestParameters, RandomCutForest};
/// let mut forest = RandomCutForest::new(ForestParameters { sample_size: 32, ..Default::default() })?;
/// let scores: Vec<f64> = (0..100).map(|i| forest.score(&[f64::from(i % 7)])).collect();
/// assert!(scores[..32].iter().all(|score| *score == 0.0));
/// assert!(scores[32..].iter().all(|score| *score < 1.5));
/// assert!(forest.score(&[40.0]) > 2.0);
/// # Ok::<(), millstream_analytics::BadParameter>(())
/// ```
#[derive(Clone, Debug)]
pub struct RandomCutForest {
    parameters: ForestParameters,
    trees: Vec<SampledTree>,
    /// The last points, the oldest first: a shingle once there are enough.
    shingle: Vec<f64>,
    /// Shingles that the trees were offered.
    taken: u64,
}

#[derive(Serialize, Deserialize)]
struct SavedForest {
    parameters: ForestParameters,
    trees: Vec<SavedTree>,
    shingle: Vec<f64>,
    taken: u64,
}

impl RandomCutForest {
    pub fn new(parameters: ForestParameters) -> Result<Self, BadParameter> {
        parameters.check()?;
        let mut seeds = Random::new(parameters.seed);
        let trees = (0..parameters.trees)
            .map(|_| SampledTree::new(parameters.shingle_len(), Random::new(seeds.next())))
            .collect();
        Ok(Self { parameters, trees, shingle: Vec::new(), taken: 0 })
    }

    /// The score of a point by those before it; then the point counts among them.
    ///
    /// 0 until `sample_size` shingles were taken. A coordinate that is not a number counts as 0.
    pub fn score(&mut self, point: &[f64]) -> f64 {
        if !self.push(point) {
            return 0.0;
        }
        let score = if self.is_ready() {
            self.trees.iter().map(|tree| tree.tree.score(&self.shingle)).sum::<f64>() / f64::from(self.parameters.trees)
        } else {
            0.0
        };
        self.take();
        score
    }

    /// As `score`, and where the score comes from. It is the same score.
    pub fn explain(&mut self, point: &[f64]) -> Scored {
        let mut attribution = vec![Attribution::default(); self.parameters.dimensions as usize];
        if !self.push(point) {
            return Scored { score: 0.0, attribution };
        }
        let mut score = 0.0;
        if self.is_ready() {
            let trees = f64::from(self.parameters.trees);
            let mut sides = Sides::new(self.shingle.len());
            for tree in &self.trees {
                score += tree.tree.explain(&self.shingle, &mut sides);
            }
            score /= trees;
            for (dimension, part) in sides.of_all_trees().enumerate() {
                let into = &mut attribution[dimension % self.parameters.dimensions as usize];
                into.low += part.low / trees;
                into.high += part.high / trees;
            }
        }
        self.take();
        Scored { score, attribution }
    }

    /// Puts a point at the end of the shingle, and says whether it is whole.
    fn push(&mut self, point: &[f64]) -> bool {
        debug_assert_eq!(point.len(), self.parameters.dimensions as usize);
        if self.shingle.len() == self.parameters.shingle_len() {
            self.shingle.drain(..point.len());
        }
        self.shingle.extend(point.iter().map(|x| {
            // NaN stays NaN in `clamp`.
            if x.is_nan() { 0.0 } else { x.clamp(-COORDINATE_MAX, COORDINATE_MAX) }
        }));
        self.shingle.len() == self.parameters.shingle_len()
    }

    fn is_ready(&self) -> bool {
        self.taken >= u64::from(self.parameters.sample_size)
    }

    fn take(&mut self) {
        #[expect(clippy::cast_precision_loss, reason = "a loss of precision beyond 2^53 points is none of weight")]
        let age = self.taken as f64 / f64::from(self.parameters.time_decay);
        for tree in &mut self.trees {
            tree.offer(&self.shingle, age, self.parameters.sample_size as usize);
        }
        self.taken += 1;
    }

    /// What the forest takes in memory, by estimate.
    pub fn bytes(&self) -> usize {
        self.trees.iter().map(SampledTree::bytes).sum()
    }

    pub fn save(&self) -> Vec<u8> {
        saved::save(&SavedForest {
            parameters: self.parameters.clone(),
            trees: self.trees.iter().map(SampledTree::to_saved).collect(),
            shingle: self.shingle.clone(),
            taken: self.taken,
        })
    }

    pub fn load(parameters: ForestParameters, bytes: &[u8]) -> Result<Self, LoadError> {
        let saved: SavedForest = saved::load(bytes)?;
        if saved.parameters != parameters {
            return Err(LoadError::Parameters(format!("{:?}, not {parameters:?}", saved.parameters)));
        }
        let len = parameters.shingle_len();
        let trees = saved.trees.into_iter().map(|tree| SampledTree::of_saved(tree, len)).collect::<Option<Vec<_>>>();
        match trees {
            Some(trees) if trees.len() == parameters.trees as usize && saved.shingle.len() <= len => {
                Ok(Self { parameters, trees, shingle: saved.shingle, taken: saved.taken })
            }
            _ => Err(LoadError::Form("trees that no forest has".to_owned())),
        }
    }
}

impl ForestParameters {
    /// Refuses what is out of the ranges above.
    pub fn check(&self) -> Result<(), BadParameter> {
        check("trees", self.trees, 1..=1000)?;
        check("sample_size", self.sample_size, 10..=1000)?;
        check("time_decay", self.time_decay, 1..=i32::MAX.unsigned_abs())?;
        check("shingle", self.shingle, 1..=30)?;
        check("dimensions", self.dimensions, 1..=30)
    }

    fn shingle_len(&self) -> usize {
        self.dimensions as usize * self.shingle as usize
    }
}
