//! Which leases a worker takes: the rules of the Kinesis Client Library, version 2.
//!
//! A lease whose counter has stood still for its duration has no living owner. Each worker takes free leases up to its
//! share; where none are free and it has less than its share, it asks the most loaded worker for one. Pure state: what
//! the table holds and the time come in, what to take comes out.

use std::collections::{BTreeMap, BTreeSet};

use millstream_core::{Duration, EventTime, ShardId};
use rand::Rng;
use rand::seq::SliceRandom;

use super::lease::Lease;

/// What a worker has seen of a table.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    leases: BTreeMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    lease: Lease,
    /// When its counter was first seen as it is; `None`: nobody has it, and nobody ever had.
    since: Option<EventTime>,
}

/// A lease to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// Nobody has it, or who had it is dead.
    Free(Lease),
    /// Its owner lives and is asked for it.
    Steal(Lease),
}

/// How a worker shares.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) worker: String,
    pub(crate) duration: Duration,
    /// How many leases are asked for at a time.
    pub(crate) steal_max: usize,
}

impl Seen {
    /// Whether who is to write the lease has not done so for the whole of its duration.
    fn is_expired(&self, duration: Duration, now: EventTime) -> bool {
        self.since.is_none_or(|since| now - since > duration)
    }
}

impl Observed {
    /// The table as it was read at `now`.
    pub(crate) fn update(&mut self, fresh: Vec<Lease>, now: EventTime) {
        let mut before = std::mem::take(&mut self.leases);
        for lease in fresh {
            let since = match before.remove(&lease.key) {
                Some(seen) if seen.lease.counter == lease.counter => seen.since,
                None if lease.owner.is_none() => None,
                Some(_) | None => Some(now),
            };
            self.leases.insert(lease.key.clone(), Seen { lease, since });
        }
    }

    pub(crate) fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values().map(|seen| &seen.lease)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Lease> {
        self.leases.get(key).map(|seen| &seen.lease)
    }

    /// The leases of shards that can be read: not to their end yet, and all before them are.
    fn readable(&self) -> Vec<&Seen> {
        let unread: BTreeSet<&ShardId> =
            self.leases().filter(|lease| !lease.is_ended()).map(|lease| &lease.shard).collect();
        let can = |lease: &Lease| !lease.is_ended() && !lease.parents.iter().any(|parent| unread.contains(parent));
        self.leases.values().filter(|seen| can(&seen.lease)).collect()
    }

    /// What a worker takes now.
    pub(crate) fn to_take(&self, rules: &Rules, now: EventTime, random: &mut impl Rng) -> Vec<Take> {
        let readable = self.readable();
        let me = rules.worker.as_str();
        let is_free = |seen: &&Seen| seen.lease.owner.is_none() || seen.is_expired(rules.duration, now);
        let (mut free, owned): (Vec<&Seen>, Vec<&Seen>) = readable.iter().copied().partition(is_free);
        let mut counts: BTreeMap<&str, usize> = BTreeMap::from([(me, 0)]);
        for owner in owned.iter().filter_map(|seen| seen.lease.owner.as_deref()) {
            *counts.entry(owner).or_default() += 1;
        }
        let target = readable.len().div_ceil(counts.len());
        let needed = target.saturating_sub(counts[me]);
        if needed == 0 {
            return Vec::new();
        }
        if !free.is_empty() {
            // Not all workers try the same ones.
            free.shuffle(random);
            return free.into_iter().take(needed).map(|seen| Take::Free(seen.lease.clone())).collect();
        }
        let Some((most, count)) = counts.iter().max_by_key(|(_, count)| **count).map(|(most, count)| (*most, *count))
        else {
            return Vec::new();
        };
        let over = needed.min(count.saturating_sub(target));
        let wanted = if over == 0 && needed > 1 && count >= target { 1 } else { over };
        let of_most = |seen: &&Seen| seen.lease.owner.as_deref() == Some(most) && seen.lease.checkpoint_owner.is_none();
        let mut candidates: Vec<&Seen> = owned.into_iter().filter(of_most).collect();
        candidates.shuffle(random);
        candidates.into_iter().take(wanted.min(rules.steal_max)).map(|seen| Take::Steal(seen.lease.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leases::lease::Checkpoint;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    const DURATION: Duration = Duration(10_000);

    fn lease(shard: &str, owner: Option<&str>, counter: u64) -> Lease {
        let free = Lease::new(shard.into(), Checkpoint::TrimHorizon);
        Lease { owner: owner.map(ToOwned::to_owned), counter, ..free }
    }

    fn rules(worker: &str) -> Rules {
        Rules { worker: worker.to_owned(), duration: DURATION, steal_max: 1 }
    }

    /// What `worker` takes of a table it sees for the second time `later` after the first.
    fn takes(worker: &str, table: &[Lease], later: i64) -> Vec<String> {
        let mut observed = Observed::default();
        observed.update(table.to_vec(), EventTime(0));
        observed.update(table.to_vec(), EventTime(later));
        let taken = observed.to_take(&rules(worker), EventTime(later), &mut SmallRng::seed_from_u64(1));
        let word = |take| match take {
            Take::Free(lease) => format!("take {}", lease.shard),
            Take::Steal(lease) => format!("steal from {}", lease.owner.unwrap_or_default()),
        };
        let mut taken: Vec<String> = taken.into_iter().map(word).collect();
        taken.sort();
        taken
    }

    #[test]
    fn free_leases_are_taken_up_to_a_fair_share() {
        let none = [lease("1", None, 0), lease("2", None, 0), lease("3", None, 0)];
        assert_eq!(takes("a", &none, 0), ["take 1", "take 2", "take 3"], "alone it takes all");
        let table = [lease("1", Some("b"), 5), lease("2", None, 0), lease("3", None, 0), lease("4", None, 0)];
        assert_eq!(takes("a", &table, 0).len(), 2, "of four leases two are its share");
    }

    #[test]
    fn a_lease_expires_when_its_counter_stands_still_for_its_duration() {
        let table = [lease("1", Some("dead"), 5), lease("2", Some("a"), 9)];
        assert_eq!(takes("a", &table, 10_000), [""; 0]);
        assert_eq!(takes("b", &table, 10_001).len(), 2, "who saw neither move takes both for dead");
        let mut observed = Observed::default();
        observed.update(table.to_vec(), EventTime(0));
        observed.update(vec![lease("1", Some("dead"), 6)], EventTime(9_000));
        assert!(!observed.leases["1"].is_expired(DURATION, EventTime(19_000)), "it moved at 9,000");
        assert!(observed.leases["1"].is_expired(DURATION, EventTime(19_001)));
        observed.update(vec![lease("3", None, 0)], EventTime(19_001));
        assert!(observed.leases["3"].is_expired(DURATION, EventTime(19_001)), "nobody ever had it");
    }

    #[test]
    fn stealing_evens_out_and_ends() {
        let owned = |owners: &[&str]| -> Vec<Lease> {
            let one = |(n, owner): (usize, &&str)| lease(&n.to_string(), Some(owner), 1);
            owners.iter().enumerate().map(one).collect()
        };
        for (owners, taken) in [
            (&["b", "b"][..], &["steal from b"][..]),
            (&["b"], &[]),
            (&["b", "b", "c", "c"], &["steal from c"]),
            (&["a", "b", "b", "c"], &[]),
            (&["b", "b", "b", "b", "c"], &["steal from b"]),
            (&["a", "b", "b", "b"], &["steal from b"]),
            (&["a", "a", "b", "b"], &[]),
        ] {
            let found = takes("a", &owned(owners), 1);
            assert_eq!(found.len(), taken.len(), "{owners:?}: {found:?}");
            assert!(owners.len() != 5 || found == taken, "{owners:?}: {found:?}");
        }
    }

    #[test]
    fn children_wait_for_the_leases_of_their_parents() {
        let child = Lease { parents: [ShardId::from("1")].into(), ..lease("2", None, 0) };
        assert_eq!(takes("a", &[lease("1", None, 0), child.clone()], 0), ["take 1"]);
        let ended = Lease { checkpoint: Checkpoint::ShardEnd, ..lease("1", Some("b"), 4) };
        assert_eq!(takes("a", &[ended, child.clone()], 0), ["take 2"], "an ended lease is nobody's load");
        assert_eq!(takes("a", &[child], 0), ["take 2"], "a parent without a lease is gone");
    }
}
