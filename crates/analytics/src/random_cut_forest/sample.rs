//! A tree and the sample of points in it: a reservoir that prefers newer points (Efraimidis and Spirakis 2006, with
//! weights that grow by e every `time_decay` points).
//!
//! Each point draws a rank, and the points of the lowest ranks stay. Ranks are kept as logarithms, because weights would
//! soon be beyond all numbers.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use crate::random::Random;

use super::tree::{LeafId, Tree};

#[derive(Clone, Debug)]
pub(super) struct SampledTree {
    pub(super) tree: Tree,
    /// The point to go next on top.
    sample: BinaryHeap<Sampled>,
    random: Random,
}

#[derive(Clone, Debug)]
struct Sampled {
    rank: f64,
    leaf: LeafId,
}

/// A tree, from its root down and from left to right, so that there is no form that is not a tree.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedTree {
    random: Random,
    /// A cut, or nothing for a leaf.
    shape: Vec<Option<(u32, f64)>>,
    /// The points of the leaves, one after the other.
    points: Vec<f64>,
    /// The rank of each point of the sample, and its leaf by its place.
    sample: Vec<(f64, u32)>,
}

impl SampledTree {
    pub(super) fn new(dimensions: usize, random: Random) -> Self {
        Self { tree: Tree::new(dimensions), sample: BinaryHeap::new(), random }
    }

    /// Takes the point into the sample if its rank is low enough; `age` is in units of the time decay.
    pub(super) fn offer(&mut self, point: &[f64], age: f64, sample_size: usize) {
        let rank = (-self.random.fraction().ln()).ln() - age;
        if self.sample.len() == sample_size {
            match self.sample.peek() {
                Some(highest) if rank < highest.rank => {}
                _ => return,
            }
            if let Some(gone) = self.sample.pop() {
                self.tree.remove(gone.leaf);
            }
        }
        let leaf = self.tree.insert(point, &mut self.random);
        self.sample.push(Sampled { rank, leaf });
    }

    pub(super) fn bytes(&self) -> usize {
        self.tree.bytes() + self.sample.capacity() * size_of::<Sampled>()
    }

    pub(super) fn to_saved(&self) -> SavedTree {
        let (shape, leaves) = self.tree.shape();
        let mut places = vec![0; self.tree.leaf_slots()];
        let mut points = Vec::with_capacity(leaves.len() * self.tree.dimensions());
        for (place, leaf) in (0_u32..).zip(&leaves) {
            places[*leaf as usize] = place;
            points.extend_from_slice(self.tree.point(*leaf));
        }
        // In the order of the heap, which is a heap again when it is loaded.
        let sample = self.sample.iter().map(|sampled| (sampled.rank, places[sampled.leaf as usize])).collect();
        SavedTree { random: self.random.clone(), shape, points, sample }
    }

    /// Nothing where the parts do not fit each other.
    pub(super) fn of_saved(saved: SavedTree, dimensions: usize) -> Option<Self> {
        let leaves = saved.points.len() / dimensions;
        let mut masses = vec![0; leaves];
        for (_, leaf) in &saved.sample {
            *masses.get_mut(*leaf as usize)? += 1;
        }
        let tree = Tree::of_shape(dimensions, &saved.shape, saved.points, &masses)?;
        let sample = saved.sample.into_iter().map(|(rank, leaf)| Sampled { rank, leaf }).collect::<Vec<_>>().into();
        Some(Self { tree, sample, random: saved.random })
    }
}

impl Ord for Sampled {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.total_cmp(&other.rank)
    }
}

impl PartialOrd for Sampled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Sampled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Sampled {}
