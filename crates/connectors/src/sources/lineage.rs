//! Which shards of a stream are read when: parents to their end before children, merges after both parents.
//!
//! Pure state, the same for every stream that splits and merges. A drained parent counts as closed only once its
//! children are open, so that the watermark never runs ahead between the two.

use std::collections::{BTreeMap, BTreeSet};

use millstream_core::{Offset, Offsets, ShardId, SourceError};

/// Where a shard's reading starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Where the table's options say.
    Configured,
    /// At its first record: it was created while or after its parents were read.
    Beginning,
    /// After the last record of a former reading.
    After(Offset),
}

/// A shard as a listing describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) shard: ShardId,
    pub(super) parents: Vec<ShardId>,
    /// Whether a first reading starts in it: it was open at the position the options name.
    pub(super) is_start: bool,
}

/// A shard that is to be opened now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) shard: ShardId,
    pub(super) parents: Vec<ShardId>,
    pub(super) start: Start,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Reading,
    /// Read to its end; its children may not be open yet.
    Drained,
    Closed,
}

#[derive(Debug)]
struct Node {
    parents: Vec<ShardId>,
    start: Start,
    state: State,
}

/// What helps where a reading cannot go on: words for the end of a reason.
pub(super) const ANEW: &str = "start the query anew with START FROM BEGINNING or START FROM LATEST";

/// Fails where no shard that is to be resumed is there, and no child of one: then this is another stream. Some of them
/// may be gone, for shards that were read to their end expire.
pub(super) fn check_resumed(listed: &[Listed], resume: &Offsets) -> Result<(), SourceError> {
    let is_known = |shard: &Listed| {
        resume.get(&shard.shard).is_some() || shard.parents.iter().any(|parent| resume.get(parent).is_some())
    };
    for child in listed.iter().filter(|child| resume.get(&child.shard).is_none()) {
        for parent in child.parents.iter().filter(|parent| resume.get(parent).is_some()) {
            if !listed.iter().any(|shard| shard.shard == *parent) {
                let child = &child.shard;
                tracing::warn!(%parent, %child, "a shard has expired: if it was not read to its end, its rest is lost");
            }
        }
    }
    match resume.iter().next() {
        Some((shard, offset)) if !listed.iter().any(is_known) => Err(SourceError::Position {
            shard: shard.clone(),
            offset: offset.clone(),
            reason: format!(
                "the stream has neither this shard nor a successor of it: it was made anew, or all was read so long ago \
                 that it has expired; {ANEW}"
            ),
        }),
        _ => Ok(()),
    }
}

/// The shards of one stream, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    nodes: BTreeMap<ShardId, Node>,
}

impl Lineage {
    /// The first listing of a stream's shards. Shards before the starting ones, and before those in `resume`, count as
    /// read; those that descend from them start at their beginning.
    pub(super) fn new(listed: &[Listed], resume: &Offsets) -> Self {
        let parents: BTreeMap<_, _> = listed.iter().map(|listed| (&listed.shard, &listed.parents)).collect();
        let ancestors = |of: &mut dyn Iterator<Item = &ShardId>| {
            let (mut found, mut pending): (BTreeSet<ShardId>, Vec<ShardId>) = (BTreeSet::new(), of.cloned().collect());
            while let Some(shard) = pending.pop() {
                for parent in parents.get(&shard).into_iter().flat_map(|parents| parents.iter()) {
                    if found.insert(parent.clone()) {
                        pending.push(parent.clone());
                    }
                }
            }
            found
        };
        let before_resumed = ancestors(&mut resume.iter().map(|(shard, _)| shard));
        let starts: BTreeSet<_> = listed.iter().filter(|listed| listed.is_start).map(|listed| &listed.shard).collect();
        let mut nodes = BTreeMap::new();
        for Listed { shard, parents, is_start } in listed {
            let above = ancestors(&mut std::iter::once(shard));
            let follows_resumed = above.iter().any(|above| resume.get(above).is_some());
            let follows_start = above.iter().any(|above| starts.contains(above));
            let (start, is_read) = match resume.get(shard) {
                _ if before_resumed.contains(shard) => (Start::Beginning, true),
                Some(offset) => (Start::After(offset.clone()), false),
                None if follows_resumed => (Start::Beginning, false),
                None if *is_start => (Start::Configured, false),
                None => (Start::Beginning, !follows_start),
            };
            let state = if is_read { State::Closed } else { State::Waiting };
            nodes.insert(shard.clone(), Node { parents: parents.clone(), start, state });
        }
        Self { nodes }
    }

    /// A shard found later: a child of one that was read to its end.
    pub(super) fn add_child(&mut self, shard: ShardId, parents: Vec<ShardId>) {
        self.nodes.entry(shard).or_insert(Node { parents, start: Start::Beginning, state: State::Waiting });
    }

    /// Which shards of a listing were made since, all others being known or ancestors of known ones.
    pub(super) fn unknown(&self, listed: &[(&ShardId, &[ShardId])]) -> BTreeSet<ShardId> {
        let parents: BTreeMap<_, _> = listed.iter().copied().collect();
        let (mut older, mut pending) = (BTreeSet::new(), self.nodes.keys().collect::<Vec<_>>());
        while let Some(shard) = pending.pop() {
            let of_listing = parents.get(shard).copied().unwrap_or_default();
            let of_node = self.nodes.get(shard).map_or(&[][..], |node| &node.parents);
            pending.extend(of_listing.iter().chain(of_node).filter(|parent| older.insert(*parent)));
        }
        let is_new = |shard: &ShardId| !self.nodes.contains_key(shard) && !older.contains(shard);
        listed.iter().map(|(shard, _)| *shard).filter(|shard| is_new(shard)).cloned().collect()
    }

    /// A shard has been read to its end.
    pub(super) fn drained(&mut self, shard: &ShardId) {
        if let Some(node) = self.nodes.get_mut(shard) {
            node.state = State::Drained;
        }
    }

    /// The shards whose parents are all read (or gone): from now on they are being read.
    pub(super) fn take_ready(&mut self) -> Vec<Ready> {
        let pending = |parent: &ShardId| {
            self.nodes.get(parent).is_some_and(|node| matches!(node.state, State::Waiting | State::Reading))
        };
        let is_ready = |node: &Node| node.state == State::Waiting && !node.parents.iter().any(pending);
        let ready: Vec<_> = self.nodes.iter().filter(|(_, node)| is_ready(node)).map(|(id, _)| id.clone()).collect();
        let mut taken = Vec::with_capacity(ready.len());
        for shard in ready {
            if let Some(node) = self.nodes.get_mut(&shard) {
                node.state = State::Reading;
                taken.push(Ready { shard, parents: node.parents.clone(), start: node.start.clone() });
            }
        }
        taken
    }

    /// The shards that are read and whose known children are all open: closed from now on.
    pub(super) fn take_closed(&mut self) -> Vec<ShardId> {
        let waited_for: BTreeSet<_> = self
            .nodes
            .values()
            .filter(|node| node.state == State::Waiting)
            .flat_map(|node| node.parents.clone())
            .collect();
        let mut closed = Vec::new();
        for (shard, node) in &mut self.nodes {
            if node.state == State::Drained && !waited_for.contains(shard) {
                node.state = State::Closed;
                closed.push(shard.clone());
            }
        }
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ShardId {
        ShardId::from(name)
    }

    fn listed(shard: &str, parents: &[&str], is_start: bool) -> Listed {
        Listed { shard: id(shard), parents: parents.iter().copied().map(id).collect(), is_start }
    }

    fn ready(lineage: &mut Lineage) -> Vec<(String, Start)> {
        lineage.take_ready().into_iter().map(|ready| (ready.shard.to_string(), ready.start)).collect()
    }

    /// `a` was split into `b` and `c`, which were merged into `d`.
    fn family(starts: &[&str]) -> Vec<Listed> {
        let parents = [("a", &[][..]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"])];
        parents.into_iter().map(|(shard, parents)| listed(shard, parents, starts.contains(&shard))).collect()
    }

    #[test]
    fn children_wait_for_all_parents_and_parents_close_after_them() {
        let mut lineage = Lineage::new(&family(&["a"]), &Offsets::default());
        assert_eq!(ready(&mut lineage), [("a".to_owned(), Start::Configured)]);
        lineage.drained(&id("a"));
        assert_eq!(lineage.take_closed(), [], "its children are not open yet");
        assert_eq!(ready(&mut lineage), [("b".to_owned(), Start::Beginning), ("c".to_owned(), Start::Beginning)]);
        assert_eq!(lineage.take_closed(), [id("a")]);
        lineage.drained(&id("b"));
        assert_eq!(ready(&mut lineage), []);
        assert_eq!(lineage.take_closed(), [], "d holds at both its parents");
        lineage.drained(&id("c"));
        assert_eq!(ready(&mut lineage), [("d".to_owned(), Start::Beginning)]);
        assert_eq!(lineage.take_closed(), [id("b"), id("c")]);
    }

    #[test]
    fn a_start_in_the_middle_leaves_out_what_came_before() {
        let mut lineage = Lineage::new(&family(&["b", "c"]), &Offsets::default());
        assert_eq!(ready(&mut lineage), [("b".to_owned(), Start::Configured), ("c".to_owned(), Start::Configured)]);
        let mut lineage = Lineage::new(&family(&["d"]), &Offsets::default());
        assert_eq!(ready(&mut lineage), [("d".to_owned(), Start::Configured)]);
    }

    #[test]
    fn a_resumed_reading_goes_on_after_its_offsets() {
        let after = |position: u64| Start::After(Offset::from(position));
        let resume: Offsets = [(id("a"), Offset::from(9)), (id("b"), Offset::from(5))].into_iter().collect();
        let mut lineage = Lineage::new(&family(&["d"]), &resume);
        assert_eq!(ready(&mut lineage), [("b".to_owned(), after(5)), ("c".to_owned(), Start::Beginning)]);
        lineage.drained(&id("b"));
        lineage.drained(&id("c"));
        assert_eq!(ready(&mut lineage), [("d".to_owned(), Start::Beginning)]);
    }

    #[test]
    fn a_stream_without_a_trace_of_what_was_read_is_another() {
        let resume = |shards: &[&str]| shards.iter().map(|shard| (id(shard), Offset::from(9))).collect::<Offsets>();
        let check = |starts: &[Listed], resumed: &[&str]| check_resumed(starts, &resume(resumed)).is_ok();
        let (all, last) = (family(&["a"]), [listed("d", &["b", "c"], true)]);
        for resumed in [&[][..], &["a"], &["d"], &["a", "gone"]] {
            assert!(check(&all, resumed), "{resumed:?}");
        }
        assert!(check(&last, &["a", "c"]) && check(&last, &["d"]));
        assert!(!check(&last, &["a"]) && !check(&all, &["x", "y"]) && !check(&[], &["a"]));
    }

    #[test]
    fn what_a_listing_shows_that_was_made_since() {
        let of = |starts: &[&str]| Lineage::new(&family(starts)[1..3], &Offsets::default());
        let listed = family(&[]);
        let new = |lineage: &Lineage, from: usize| {
            let listed: Vec<_> = listed[from..].iter().map(|shard| (&shard.shard, shard.parents.as_slice())).collect();
            lineage.unknown(&listed).into_iter().map(|shard| shard.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(new(&of(&["b", "c"]), 0), ["d"], "a was before b and c");
        assert_eq!(new(&of(&["b", "c"]), 3), ["d"], "b and c have expired");
        let mut lineage = of(&["b", "c"]);
        lineage.add_child(id("d"), vec![id("b"), id("c")]);
        assert_eq!(new(&lineage, 0), [""; 0]);
        let far = [(&id("f"), &[id("e")][..])].map(|(shard, parents)| (shard.clone(), parents.to_vec()));
        let far: Vec<_> = far.iter().map(|(shard, parents)| (shard, parents.as_slice())).collect();
        assert_eq!(lineage.unknown(&far).len(), 1, "what came of a shard that was never seen");
    }

    #[test]
    fn parents_that_are_gone_count_as_read() {
        let mut lineage = Lineage::new(&[listed("d", &["b", "c"], true)], &Offsets::default());
        assert_eq!(ready(&mut lineage).len(), 1);
        lineage.drained(&id("d"));
        lineage.add_child(id("e"), vec![id("d")]);
        lineage.add_child(id("e"), vec![id("d")]);
        assert_eq!(ready(&mut lineage), [("e".to_owned(), Start::Beginning)]);
        assert_eq!(lineage.take_closed(), [id("d")]);
    }
}
