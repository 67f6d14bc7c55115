//! The score of a point by one tree, and where it comes from.
//!
//! Going down by the cuts finds the leaf that the point would share. On the way up each node tells how likely it is that
//! a cut of its box would have set the point apart there, at that depth: where the sides that the point adds to the box
//! are a part p of the sides of both, it is p. Once a box holds the point, all those above do, and the sum is whole.

use super::Attribution;
use super::tree::{LeafId, Node, Tree};

/// What a point is worth that is set apart at a depth.
fn apart_at(depth: u32) -> f64 {
    1.0 / f64::from(depth + 1)
}

/// What a point is worth that equals the points of a leaf: less, the more of a tree's points they are.
fn equal_at(depth: u32, mass: u32, tree_mass: u32) -> f64 {
    let damp = 1.0 - f64::from(mass) / (2.0 * f64::from(tree_mass));
    damp / (f64::from(depth) + f64::from(mass + 1).log2())
}

/// Brings scores of trees of all sizes to the same measure.
fn norm(tree_mass: u32) -> f64 {
    f64::from(tree_mass + 1).log2()
}

impl Tree {
    pub(super) fn score(&self, point: &[f64]) -> f64 {
        let Some(root) = self.root() else { return 0.0 };
        let tree_mass = self.mass(root);
        let (leaf, mut depth) = self.leaf_of(root, point);
        let mut node = Node::Leaf(leaf);
        let mut score = if self.point(leaf) == point {
            return equal_at(depth, self.mass(node), tree_mass) * norm(tree_mass);
        } else {
            apart_at(depth)
        };
        while let Some(parent) = self.parent(node) {
            node = Node::Inner(parent);
            depth -= 1;
            let (lows, highs) = self.bounds(node);
            let apart = probability_apart(lows, highs, point);
            if apart <= 0.0 {
                break;
            }
            score = (1.0 - apart) * score + apart * apart_at(depth);
        }
        score * norm(tree_mass)
    }

    /// The same score; `sides` gets where it comes from.
    pub(super) fn explain(&self, point: &[f64], sides: &mut Sides) -> f64 {
        let Some(root) = self.root() else { return 0.0 };
        let tree_mass = self.mass(root);
        let (leaf, mut depth) = self.leaf_of(root, point);
        let mut node = Node::Leaf(leaf);
        sides.of_tree.fill(Attribution::default());
        let is_equal = self.point(leaf) == point;
        let mut score = if is_equal {
            equal_at(depth, self.mass(node), tree_mass)
        } else {
            sides.outside.set(self.bounds(node), point);
            sides.blend(1.0, apart_at(depth));
            apart_at(depth)
        };
        while let Some(parent) = self.parent(node) {
            depth -= 1;
            let apart = if is_equal {
                // What would have set it apart, were its equals not there: the box of all points but those.
                let sibling = self.sibling(parent, node);
                sides.widen_box(self.bounds(sibling), node == Node::Leaf(leaf));
                sides.outside.set((&sides.box_lows, &sides.box_highs), point)
            } else {
                sides.outside.set(self.bounds(Node::Inner(parent)), point)
            };
            node = Node::Inner(parent);
            if apart <= 0.0 {
                break;
            }
            sides.blend(apart, apart_at(depth));
            if !is_equal {
                score = (1.0 - apart) * score + apart * apart_at(depth);
            }
        }
        score *= norm(tree_mass);
        sides.add_tree(score);
        score
    }

    /// The leaf that the point's way down ends at, and its depth.
    fn leaf_of(&self, root: Node, point: &[f64]) -> (LeafId, u32) {
        let (mut node, mut depth) = (root, 0);
        loop {
            match node {
                Node::Leaf(leaf) => return (leaf, depth),
                Node::Inner(id) => {
                    let inner = self.inner(id);
                    node = if point[inner.dimension as usize] <= inner.cut { inner.left } else { inner.right };
                    depth += 1;
                }
            }
        }
    }

    fn sibling(&self, parent: u32, node: Node) -> Node {
        let inner = self.inner(parent);
        if inner.left == node { inner.right } else { inner.left }
    }
}

/// How likely a random cut of the box that holds both sets the point apart from the box.
fn probability_apart(lows: &[f64], highs: &[f64], point: &[f64]) -> f64 {
    let (mut added, mut sum) = (0.0, 0.0);
    for ((low, high), x) in lows.iter().zip(highs).zip(point) {
        let outside = (low - x).max(0.0) + (x - high).max(0.0);
        added += outside;
        sum += high - low + outside;
    }
    if added > 0.0 { added / sum } else { 0.0 }
}

/// Where scores come from, by coordinate and side; and the room to compute it in.
pub(super) struct Sides {
    of_trees: Vec<Attribution>,
    of_tree: Vec<Attribution>,
    outside: Outside,
    box_lows: Vec<f64>,
    box_highs: Vec<f64>,
}

/// The parts of a chance of being set apart.
struct Outside(Vec<Attribution>);

impl Outside {
    /// Answers the sum of the parts, computed as `probability_apart` does.
    fn set(&mut self, (lows, highs): (&[f64], &[f64]), point: &[f64]) -> f64 {
        let (mut added, mut sum) = (0.0, 0.0);
        for (((part, low), high), x) in self.0.iter_mut().zip(lows).zip(highs).zip(point) {
            *part = Attribution { low: (low - x).max(0.0), high: (x - high).max(0.0) };
            added += part.low + part.high;
            sum += high - low + (part.low + part.high);
        }
        if added <= 0.0 {
            return 0.0;
        }
        for part in &mut self.0 {
            part.low /= sum;
            part.high /= sum;
        }
        added / sum
    }
}

impl Sides {
    pub(super) fn new(dimensions: usize) -> Self {
        let none = vec![Attribution::default(); dimensions];
        Self {
            of_trees: none.clone(),
            of_tree: none.clone(),
            outside: Outside(none),
            box_lows: vec![0.0; dimensions],
            box_highs: vec![0.0; dimensions],
        }
    }

    /// What was found below counts for what it is not set apart here; what is set apart here is worth `worth`.
    fn blend(&mut self, apart: f64, worth: f64) {
        for (side, outside) in self.of_tree.iter_mut().zip(&self.outside.0) {
            side.low = side.low * (1.0 - apart) + outside.low * worth;
            side.high = side.high * (1.0 - apart) + outside.high * worth;
        }
    }

    fn widen_box(&mut self, (lows, highs): (&[f64], &[f64]), is_first: bool) {
        if is_first {
            self.box_lows.copy_from_slice(lows);
            self.box_highs.copy_from_slice(highs);
            return;
        }
        for (low, other) in self.box_lows.iter_mut().zip(lows) {
            *low = low.min(*other);
        }
        for (high, other) in self.box_highs.iter_mut().zip(highs) {
            *high = high.max(*other);
        }
    }

    /// Adds what the tree found, scaled to its score. Where all points are equal no side is to blame more than another.
    fn add_tree(&mut self, score: f64) {
        let sum: f64 = self.of_tree.iter().map(|side| side.low + side.high).sum();
        #[expect(clippy::cast_precision_loss, reason = "at most 900 coordinates")]
        let even = score / (2.0 * self.of_tree.len() as f64);
        for (all, side) in self.of_trees.iter_mut().zip(&self.of_tree) {
            all.low += if sum > 0.0 { side.low / sum * score } else { even };
            all.high += if sum > 0.0 { side.high / sum * score } else { even };
        }
    }

    /// The sums over all trees.
    pub(super) fn of_all_trees(self) -> impl Iterator<Item = Attribution> {
        self.of_trees.into_iter()
    }
}
