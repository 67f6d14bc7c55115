//! Which leases are made and removed: a lease for each shard that is to be read, children after their parents.
//!
//! Pure: what the stream lists and what the table holds come in.

use std::collections::{BTreeMap, BTreeSet};

use millstream_core::{EventTime, ShardId};

use super::lease::{Checkpoint, Lease};
use crate::sources::position::InitPosition;

/// A shard as the stream lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamShard {
    pub(crate) shard: ShardId,
    pub(crate) parents: Vec<ShardId>,
    pub(crate) is_open: bool,
    pub(crate) hashes: Option<(u128, u128)>,
}

/// The leases that are missing.
///
/// A stream's first leases are of the shards where reading starts; shards with a relative that has a lease are not among
/// them. Others get theirs when all their parents have been read to their end.
pub(crate) fn missing(shards: &[StreamShard], leases: &[&Lease], position: InitPosition, now: EventTime) -> Vec<Lease> {
    let leased: BTreeMap<&ShardId, &Lease> = leases.iter().map(|lease| (&lease.shard, *lease)).collect();
    let parents: BTreeMap<&ShardId, &[ShardId]> =
        shards.iter().map(|shard| (&shard.shard, shard.parents.as_slice())).collect();
    // A lease that was made late, by a worker that stood still, must not bring back what follows it.
    let passed = passed(&parents, leases);
    let is_related = |shard: &ShardId| {
        passed.contains(shard) || ancestors(shard, &parents).iter().any(|above| leased.contains_key(above))
    };
    let is_listed = |shard: &ShardId| shards.iter().any(|listed| listed.shard == *shard);
    // A parent that is listed and has no lease has not got it yet: it keeps it until its children are read.
    let is_read = |parent: &ShardId| leased.get(parent).map_or(!is_listed(parent), |lease| lease.is_ended());
    let follows = |shard: &&StreamShard| {
        shard.parents.iter().any(|parent| leased.contains_key(parent)) && shard.parents.iter().all(is_read)
    };
    let starts = |shard: &&StreamShard| match position {
        _ if is_related(&shard.shard) => false,
        InitPosition::Latest => shard.is_open,
        InitPosition::TrimHorizon | InitPosition::AtTimestamp(_) => !shard.parents.iter().any(is_listed),
    };
    let from_beginning = match position {
        InitPosition::AtTimestamp(_) => Checkpoint::AtTimestamp,
        InitPosition::TrimHorizon | InitPosition::Latest => Checkpoint::TrimHorizon,
    };
    let is_new = |shard: &&StreamShard| !leased.contains_key(&shard.shard) && !passed.contains(&shard.shard);
    let new = shards.iter().filter(is_new).filter_map(|shard| {
        let checkpoint = match position {
            _ if follows(&shard) => from_beginning.clone(),
            _ if !starts(&shard) => return None,
            InitPosition::Latest => Checkpoint::Latest,
            InitPosition::TrimHorizon | InitPosition::AtTimestamp(_) => from_beginning.clone(),
        };
        Some(Lease {
            parents: shard.parents.iter().cloned().collect(),
            hashes: shard.hashes,
            since: Some(now),
            ..Lease::new(shard.shard.clone(), checkpoint)
        })
    });
    new.collect()
}

fn ancestors<'a>(of: &ShardId, parents: &BTreeMap<&'a ShardId, &'a [ShardId]>) -> BTreeSet<&'a ShardId> {
    let mut found = BTreeSet::new();
    let mut pending: Vec<&ShardId> = parents.get(of).into_iter().flat_map(|parents| parents.iter()).collect();
    while let Some(shard) = pending.pop() {
        if found.insert(shard) {
            pending.extend(parents.get(shard).into_iter().flat_map(|parents| parents.iter()));
        }
    }
    found
}

/// The shards that were read long ago: some shard that came of them has a lease.
fn passed<'a>(parents: &BTreeMap<&'a ShardId, &'a [ShardId]>, leases: &[&Lease]) -> BTreeSet<&'a ShardId> {
    leases.iter().flat_map(|lease| ancestors(&lease.shard, parents)).collect()
}

/// The leases of shards read to their end whose children are not known in the table: the stream is to be listed.
pub(crate) fn wants_children(leases: &[&Lease]) -> bool {
    let has_child = |ended: &Lease| leases.iter().any(|lease| lease.parents.contains(&ended.shard));
    leases.iter().any(|lease| lease.is_ended() && !has_child(lease))
}

/// The leases that nobody needs any more: of shards read to their end, whose children are all being read, and whose
/// own parents' leases are gone; or that the stream has forgotten with all their children.
pub(crate) fn done<'a>(shards: &[StreamShard], leases: &[&'a Lease]) -> Vec<&'a Lease> {
    let find = |shard: &ShardId| leases.iter().find(|lease| lease.shard == *shard);
    let parents = shards.iter().map(|shard| (&shard.shard, shard.parents.as_slice())).collect();
    let passed = passed(&parents, leases);
    let is_done = |lease: &&&Lease| {
        let mut children = shards.iter().filter(|shard| shard.parents.contains(&lease.shard)).peekable();
        let has_children = children.peek().is_some();
        let is_listed = shards.iter().any(|shard| shard.shard == lease.shard);
        let is_read = |child: &StreamShard| match find(&child.shard) {
            Some(child) => child.checkpoint.is_processed(),
            None => passed.contains(&child.shard),
        };
        let has_successors = if has_children { children.all(is_read) } else { !is_listed };
        lease.is_ended() && has_successors && !lease.parents.iter().any(|parent| find(parent).is_some())
    };
    leases.iter().filter(is_done).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a` was split into `b` and `c`, which were merged into `d`; `e` is as it was.
    fn family() -> Vec<StreamShard> {
        let shard = |shard: &str, parents: &[&str], is_open| StreamShard {
            shard: shard.into(),
            parents: parents.iter().copied().map(ShardId::from).collect(),
            is_open,
            hashes: None,
        };
        vec![
            shard("a", &[], false),
            shard("b", &["a"], false),
            shard("c", &["a"], false),
            shard("d", &["b", "c"], true),
            shard("e", &[], true),
        ]
    }

    fn lease(shard: &str, checkpoint: &str, parents: &[&str]) -> Lease {
        let parents = parents.iter().copied().map(ShardId::from).collect();
        Lease { parents, ..Lease::new(shard.into(), Checkpoint::read(checkpoint, 0).unwrap()) }
    }

    fn made(leases: &[Lease], position: InitPosition) -> Vec<(String, String)> {
        let leases: Vec<&Lease> = leases.iter().collect();
        let made = missing(&family(), &leases, position, EventTime(5));
        made.into_iter().map(|lease| (lease.key, lease.checkpoint.written().0.to_owned())).collect()
    }

    fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(shard, checkpoint)| ((*shard).to_owned(), (*checkpoint).to_owned())).collect()
    }

    #[test]
    fn first_leases_are_where_reading_starts() {
        let roots = named(&[("a", "TRIM_HORIZON"), ("e", "TRIM_HORIZON")]);
        assert_eq!(made(&[], InitPosition::TrimHorizon), roots);
        assert_eq!(made(&[], InitPosition::Latest), named(&[("d", "LATEST"), ("e", "LATEST")]));
        let at = InitPosition::AtTimestamp(EventTime(1));
        assert_eq!(made(&[], at), named(&[("a", "AT_TIMESTAMP"), ("e", "AT_TIMESTAMP")]));
        assert_eq!(made(&[lease("a", "7", &[])], InitPosition::TrimHorizon), named(&[("e", "TRIM_HORIZON")]));
    }

    #[test]
    fn children_get_theirs_when_all_parents_are_read() {
        let position = InitPosition::Latest;
        let (e, a) = (lease("e", "9", &[]), lease("a", "SHARD_END", &[]));
        assert_eq!(made(&[e.clone(), lease("a", "7", &[])], position), []);
        let children = named(&[("b", "TRIM_HORIZON"), ("c", "TRIM_HORIZON")]);
        assert_eq!(made(&[e.clone(), a], position), children, "at their beginning, whatever the table says");
        let b = lease("b", "SHARD_END", &["a"]);
        assert_eq!(made(&[e.clone(), b.clone(), lease("c", "3", &["a"])], position), []);
        let c = lease("c", "SHARD_END", &["a"]);
        assert_eq!(made(&[e.clone(), b.clone(), c], position), named(&[("d", "TRIM_HORIZON")]));
        assert_eq!(made(&[e.clone(), b], position), [], "c has no lease yet");
        let late = [e, lease("a", "SHARD_END", &[]), lease("d", "8", &["b", "c"])];
        assert_eq!(made(&late, position), [], "b and c were read long ago");
    }

    #[test]
    fn finished_leases_go_when_their_children_are_read() {
        let done_of = |leases: &[Lease]| -> Vec<String> {
            let leases: Vec<&Lease> = leases.iter().collect();
            done(&family(), &leases).into_iter().map(|lease| lease.key.clone()).collect()
        };
        let a = lease("a", "SHARD_END", &[]);
        let (b, c) = (lease("b", "5", &["a"]), lease("c", "TRIM_HORIZON", &["a"]));
        assert_eq!(done_of(&[a.clone(), b.clone(), c]), [""; 0], "c may still need what a has");
        let c = lease("c", "4", &["a"]);
        assert_eq!(done_of(&[a.clone(), b.clone(), c.clone()]), ["a"]);
        let (b, c) = (lease("b", "SHARD_END", &["a"]), lease("c", "SHARD_END", &["a"]));
        let d = lease("d", "8", &["b", "c"]);
        assert_eq!(done_of(&[a, b.clone(), c.clone(), d.clone()]), ["a"], "the oldest first");
        assert_eq!(done_of(&[b, c, d]), ["b", "c"]);
        assert_eq!(done_of(&[lease("a", "SHARD_END", &[]), lease("d", "8", &["b", "c"])]), ["a"], "made again, late");
        assert_eq!(done_of(&[lease("forgotten", "SHARD_END", &[])]), ["forgotten"]);
        assert!(wants_children(&[&lease("e", "SHARD_END", &[])]) && !wants_children(&[&lease("e", "4", &[])]));
    }
}
