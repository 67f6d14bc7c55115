//! A robust random cut tree: points at the leaves, a cut of space at each inner node, chosen at random in proportion to the
//! sides of the box around the node's points. Inserting and removing a point leaves the tree as random as if it had been
//! built of the points that remain (theorems 2 and 3 of the paper).

use crate::random::Random;

pub(super) type LeafId = u32;
type InnerId = u32;

/// The parent of the root.
const NONE: InnerId = InnerId::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Inner(InnerId),
    Leaf(LeafId),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Inner {
    /// Points whose coordinate is at most the cut are left, others right.
    pub(super) dimension: u32,
    pub(super) cut: f64,
    pub(super) left: Node,
    pub(super) right: Node,
    pub(super) parent: InnerId,
    /// Points below, equal ones counted as often as they came.
    mass: u32,
}

#[derive(Clone, Copy, Debug)]
struct Leaf {
    parent: InnerId,
    mass: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Tree {
    dimensions: usize,
    root: Option<Node>,
    inner: Vec<Inner>,
    /// Of each inner node, the least of all coordinates, then the greatest.
    boxes: Vec<f64>,
    free_inner: Vec<InnerId>,
    leaves: Vec<Leaf>,
    points: Vec<f64>,
    free_leaves: Vec<LeafId>,
}

impl Tree {
    pub(super) fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            root: None,
            inner: Vec::new(),
            boxes: Vec::new(),
            free_inner: Vec::new(),
            leaves: Vec::new(),
            points: Vec::new(),
            free_leaves: Vec::new(),
        }
    }

    pub(super) fn dimensions(&self) -> usize {
        self.dimensions
    }

    pub(super) fn root(&self) -> Option<Node> {
        self.root
    }

    pub(super) fn inner(&self, id: InnerId) -> &Inner {
        &self.inner[id as usize]
    }

    pub(super) fn point(&self, leaf: LeafId) -> &[f64] {
        let from = leaf as usize * self.dimensions;
        &self.points[from..from + self.dimensions]
    }

    pub(super) fn mass(&self, node: Node) -> u32 {
        match node {
            Node::Inner(id) => self.inner(id).mass,
            Node::Leaf(leaf) => self.leaves[leaf as usize].mass,
        }
    }

    /// The inner node above, if there is one.
    pub(super) fn parent(&self, node: Node) -> Option<InnerId> {
        let parent = match node {
            Node::Inner(id) => self.inner(id).parent,
            Node::Leaf(leaf) => self.leaves[leaf as usize].parent,
        };
        (parent != NONE).then_some(parent)
    }

    /// The least and the greatest of each coordinate of the points below.
    pub(super) fn bounds(&self, node: Node) -> (&[f64], &[f64]) {
        match node {
            Node::Inner(id) => {
                let from = id as usize * 2 * self.dimensions;
                self.boxes[from..from + 2 * self.dimensions].split_at(self.dimensions)
            }
            Node::Leaf(leaf) => (self.point(leaf), self.point(leaf)),
        }
    }

    /// Adds a point; an equal one shares its leaf.
    pub(super) fn insert(&mut self, point: &[f64], random: &mut Random) -> LeafId {
        let Some(mut node) = self.root else {
            let leaf = self.new_leaf(point, NONE);
            self.root = Some(Node::Leaf(leaf));
            return leaf;
        };
        loop {
            match node {
                Node::Leaf(leaf) if self.point(leaf) == point => {
                    self.leaves[leaf as usize].mass += 1;
                    self.grow(self.leaves[leaf as usize].parent, point);
                    return leaf;
                }
                _ => {}
            }
            let (lows, highs) = self.bounds(node);
            let (dimension, cut) = random_cut(lows, highs, point, random);
            let is_apart = cut < lows[dimension] || cut >= highs[dimension];
            match node {
                Node::Inner(id) if !is_apart => {
                    let inner = self.inner(id);
                    node = if point[inner.dimension as usize] <= inner.cut { inner.left } else { inner.right };
                }
                _ => return self.put_beside(node, point, dimension, cut),
            }
        }
    }

    /// A new leaf beside a node, under a new inner node in its place.
    fn put_beside(&mut self, node: Node, point: &[f64], dimension: usize, cut: f64) -> LeafId {
        let parent = self.parent(node).unwrap_or(NONE);
        let leaf = self.new_leaf(point, NONE);
        let (left, right) = if point[dimension] <= cut { (Node::Leaf(leaf), node) } else { (node, Node::Leaf(leaf)) };
        let inner = self.new_inner(id32(dimension), cut, left, right, parent);
        self.replace_child(parent, node, Node::Inner(inner));
        self.grow(parent, point);
        leaf
    }

    /// An inner node above two, with their box.
    fn new_inner(&mut self, dimension: u32, cut: f64, left: Node, right: Node, parent: InnerId) -> InnerId {
        let mass = self.mass(left) + self.mass(right);
        let inner = Inner { dimension, cut, left, right, parent, mass };
        let id = match self.free_inner.pop() {
            Some(id) => {
                self.inner[id as usize] = inner;
                id
            }
            None => {
                self.inner.push(inner);
                self.boxes.resize(self.inner.len() * 2 * self.dimensions, 0.0);
                id32(self.inner.len() - 1)
            }
        };
        self.set_parent(left, id);
        self.set_parent(right, id);
        self.fit_box(id);
        id
    }

    fn new_leaf(&mut self, point: &[f64], parent: InnerId) -> LeafId {
        let leaf = Leaf { parent, mass: 1 };
        match self.free_leaves.pop() {
            Some(id) => {
                self.leaves[id as usize] = leaf;
                let from = id as usize * self.dimensions;
                self.points[from..from + self.dimensions].copy_from_slice(point);
                id
            }
            None => {
                self.leaves.push(leaf);
                self.points.extend_from_slice(point);
                id32(self.leaves.len() - 1)
            }
        }
    }

    /// Counts a new point in a node and those above it, and makes their boxes hold it.
    fn grow(&mut self, mut id: InnerId, point: &[f64]) {
        while id != NONE {
            let from = id as usize * 2 * self.dimensions;
            let (lows, highs) = self.boxes[from..from + 2 * self.dimensions].split_at_mut(self.dimensions);
            for ((low, high), x) in lows.iter_mut().zip(highs).zip(point) {
                *low = low.min(*x);
                *high = high.max(*x);
            }
            let inner = &mut self.inner[id as usize];
            inner.mass += 1;
            id = inner.parent;
        }
    }

    /// Takes one point from a leaf; when it was the last, its sibling takes their parent's place.
    pub(super) fn remove(&mut self, leaf: LeafId) {
        let Leaf { parent, mass } = self.leaves[leaf as usize];
        if mass > 1 {
            self.leaves[leaf as usize].mass -= 1;
            self.shrink(parent, false);
            return;
        }
        self.free_leaves.push(leaf);
        if parent == NONE {
            self.root = None;
            return;
        }
        let Inner { left, right, parent: above, .. } = *self.inner(parent);
        let sibling = if left == Node::Leaf(leaf) { right } else { left };
        self.free_inner.push(parent);
        self.set_parent(sibling, above);
        self.replace_child(above, Node::Inner(parent), sibling);
        self.shrink(above, true);
    }

    /// Counts one point less in a node and those above it; their boxes are made smaller as long as that changes them.
    fn shrink(&mut self, mut id: InnerId, mut may_be_smaller: bool) {
        while id != NONE {
            may_be_smaller = may_be_smaller && self.fit_box(id);
            let inner = &mut self.inner[id as usize];
            inner.mass -= 1;
            id = inner.parent;
        }
    }

    /// Makes a node's box that of its children, and says whether it changed.
    fn fit_box(&mut self, id: InnerId) -> bool {
        let Inner { left, right, .. } = *self.inner(id);
        let from = id as usize * 2 * self.dimensions;
        let mut is_changed = false;
        for dimension in 0..self.dimensions {
            let ((left_lows, left_highs), (right_lows, right_highs)) = (self.bounds(left), self.bounds(right));
            let low = left_lows[dimension].min(right_lows[dimension]);
            let high = left_highs[dimension].max(right_highs[dimension]);
            let (low_at, high_at) = (from + dimension, from + self.dimensions + dimension);
            is_changed |=
                self.boxes[low_at].to_bits() != low.to_bits() || self.boxes[high_at].to_bits() != high.to_bits();
            self.boxes[low_at] = low;
            self.boxes[high_at] = high;
        }
        is_changed
    }

    fn set_parent(&mut self, node: Node, parent: InnerId) {
        match node {
            Node::Inner(id) => self.inner[id as usize].parent = parent,
            Node::Leaf(leaf) => self.leaves[leaf as usize].parent = parent,
        }
    }

    fn replace_child(&mut self, parent: InnerId, child: Node, by: Node) {
        if parent == NONE {
            self.root = Some(by);
            return;
        }
        let inner = &mut self.inner[parent as usize];
        if inner.left == child {
            inner.left = by;
        } else {
            inner.right = by;
        }
    }

    /// From the root down and from left to right: the cuts, nothing for a leaf; and the leaves.
    pub(super) fn shape(&self) -> (Vec<Option<(u32, f64)>>, Vec<LeafId>) {
        let (mut shape, mut leaves) = (Vec::new(), Vec::new());
        let mut to_visit: Vec<Node> = self.root.into_iter().collect();
        while let Some(node) = to_visit.pop() {
            match node {
                Node::Inner(id) => {
                    let inner = self.inner(id);
                    shape.push(Some((inner.dimension, inner.cut)));
                    to_visit.extend([inner.right, inner.left]);
                }
                Node::Leaf(leaf) => {
                    shape.push(None);
                    leaves.push(leaf);
                }
            }
        }
        (shape, leaves)
    }

    /// The tree of a shape, the points of its leaves, and how often each came; nothing where they do not fit.
    pub(super) fn of_shape(
        dimensions: usize,
        shape: &[Option<(u32, f64)>],
        points: Vec<f64>,
        masses: &[u32],
    ) -> Option<Self> {
        if points.len() != masses.len() * dimensions || masses.contains(&0) {
            return None;
        }
        let leaves = masses.iter().map(|mass| Leaf { parent: NONE, mass: *mass }).collect();
        let mut tree = Self { leaves, points, ..Self::new(dimensions) };
        // From the end, both children of a cut are there before it, the left one on top.
        let mut whole: Vec<Node> = Vec::new();
        let mut next_leaf = masses.len();
        for cut in shape.iter().rev() {
            let node = match cut {
                None => {
                    next_leaf = next_leaf.checked_sub(1)?;
                    Node::Leaf(id32(next_leaf))
                }
                Some((dimension, _)) if *dimension as usize >= dimensions => return None,
                Some((dimension, cut)) => {
                    let (left, right) = (whole.pop()?, whole.pop()?);
                    Node::Inner(tree.new_inner(*dimension, *cut, left, right, NONE))
                }
            };
            whole.push(node);
        }
        tree.root = whole.pop();
        (whole.is_empty() && next_leaf == 0).then_some(tree)
    }

    /// One more than the greatest id of a leaf.
    pub(super) fn leaf_slots(&self) -> usize {
        self.leaves.len()
    }

    pub(super) fn bytes(&self) -> usize {
        (self.boxes.capacity() + self.points.capacity()) * size_of::<f64>()
            + self.inner.capacity() * size_of::<Inner>()
            + self.leaves.capacity() * size_of::<Leaf>()
    }
}

/// A cut of the box that holds both a box and a point that is not all of it, evenly over the sum of its sides.
fn random_cut(lows: &[f64], highs: &[f64], point: &[f64], random: &mut Random) -> (usize, f64) {
    let side = |dimension: usize| (lows[dimension].min(point[dimension]), highs[dimension].max(point[dimension]));
    let sum: f64 = (0..point.len()).map(|dimension| side(dimension).1 - side(dimension).0).sum();
    let mut rest = random.fraction() * sum;
    let mut chosen = (0, lows[0].min(point[0]));
    for dimension in 0..point.len() {
        let (low, high) = side(dimension);
        if high <= low {
            continue;
        }
        // Rounding may bring a cut to the end of the side, where it would have all points on its left.
        chosen = (dimension, if low + rest < high { low + rest } else { low });
        if rest < high - low {
            break;
        }
        rest -= high - low;
    }
    chosen
}

/// Of a place in a tree, which has at most 1000 leaves.
fn id32(place: usize) -> u32 {
    u32::try_from(place).expect("a tree has at most 1000 leaves and inner nodes")
}
