//! One lease: who reads a shard, and how far it has come. Names and rules are those of the Kinesis Client Library.

use std::collections::BTreeSet;

use millstream_core::{EventTime, Offset, ShardId};

/// A row of a lease table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// `leaseKey`: the shard's id, or with its stream before it where a table is of several streams.
    pub(crate) key: String,
    pub(crate) shard: ShardId,
    /// Who reads the shard, or waits for `checkpoint_owner` to hand it over.
    pub(crate) owner: Option<String>,
    /// Goes up with every write: what stands still for the lease's duration has no owner that lives.
    pub(crate) counter: u64,
    pub(crate) owner_switches: u64,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) parents: BTreeSet<ShardId>,
    pub(crate) children: BTreeSet<ShardId>,
    /// The first and the last hash of the shard's partition keys.
    pub(crate) hashes: Option<(u128, u128)>,
    /// Who takes a last checkpoint before `owner` begins.
    pub(crate) checkpoint_owner: Option<String>,
    /// When it was made: what begins at LATEST begins there. The KCL has no such attribute.
    pub(crate) since: Option<EventTime>,
}

/// How far a shard has been read. The order is that of the KCL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Checkpoint {
    /// Not yet: it begins at the time that the application is configured with.
    AtTimestamp,
    TrimHorizon,
    Latest,
    /// Up to this record.
    At(Offset),
    ShardEnd,
}

/// The sentinels, as they are written.
const SENTINELS: [(&str, Checkpoint); 4] = [
    ("AT_TIMESTAMP", Checkpoint::AtTimestamp),
    ("TRIM_HORIZON", Checkpoint::TrimHorizon),
    ("LATEST", Checkpoint::Latest),
    ("SHARD_END", Checkpoint::ShardEnd),
];

impl Checkpoint {
    /// Reads `checkpoint` and `checkpointSubSequenceNumber`.
    pub(crate) fn read(sequence: &str, sub_sequence: u64) -> Result<Self, String> {
        match SENTINELS.iter().find(|(word, _)| *word == sequence) {
            Some((_, sentinel)) => Ok(sentinel.clone()),
            None => Offset::parse(sequence, sub_sequence).map(Self::At).map_err(|error| error.to_string()),
        }
    }

    /// As it is written: `checkpoint` and `checkpointSubSequenceNumber`.
    pub(crate) fn written(&self) -> (&str, u64) {
        match self {
            Self::At(offset) => (offset.sequence(), offset.sub_sequence()),
            sentinel => {
                let word = SENTINELS.iter().find(|(_, known)| known == sentinel).map_or("", |(word, _)| word);
                (word, 0)
            }
        }
    }

    /// Whether a record has been read, or it is known where reading goes on.
    pub(crate) fn is_processed(&self) -> bool {
        !matches!(self, Self::AtTimestamp | Self::TrimHorizon)
    }
}

impl Lease {
    /// A lease that nobody has.
    pub(crate) fn new(shard: ShardId, checkpoint: Checkpoint) -> Self {
        Self {
            key: shard.as_str().to_owned(),
            shard,
            owner: None,
            counter: 0,
            owner_switches: 0,
            checkpoint,
            parents: BTreeSet::new(),
            children: BTreeSet::new(),
            hashes: None,
            checkpoint_owner: None,
            since: None,
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.checkpoint == Checkpoint::ShardEnd
    }

    /// Whether a worker may read the shard now: no other is to hand it over first.
    pub(crate) fn is_read_by(&self, worker: &str) -> bool {
        match &self.checkpoint_owner {
            Some(former) => former == worker,
            None => self.owner.as_deref() == Some(worker),
        }
    }

    /// The next state of it.
    fn next(&self) -> Self {
        Self { counter: self.counter + 1, ..self.clone() }
    }

    /// It still has its owner.
    pub(crate) fn renewed(&self) -> Self {
        self.next()
    }

    /// It is `worker`'s from now on.
    pub(crate) fn taken_by(&self, worker: &str) -> Self {
        let switched = self.owner.as_deref().is_some_and(|owner| owner != worker) || self.checkpoint_owner.is_some();
        Self {
            owner: Some(worker.to_owned()),
            checkpoint_owner: None,
            owner_switches: self.owner_switches + u64::from(switched),
            ..self.next()
        }
    }

    /// It is `worker`'s once its owner has taken a last checkpoint.
    pub(crate) fn asked_for_by(&self, worker: &str) -> Self {
        Self { owner: Some(worker.to_owned()), checkpoint_owner: self.owner.clone(), ..self.next() }
    }

    /// Its reader has stopped at this checkpoint. Who asked for it may begin; else it is anybody's.
    pub(crate) fn given_back(&self, checkpoint: Checkpoint) -> Self {
        let owner = if self.checkpoint_owner.is_some() { self.owner.clone() } else { None };
        Self { owner, checkpoint_owner: None, ..self.checkpointed(checkpoint) }
    }

    /// Its reader has come this far.
    pub(crate) fn checkpointed(&self, checkpoint: Checkpoint) -> Self {
        Self { checkpoint: checkpoint.max(self.checkpoint.clone()), owner_switches: 0, ..self.next() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_have_the_order_and_the_words_of_the_kcl() {
        let at = |sequence: &str, sub| Checkpoint::read(sequence, sub).unwrap();
        let ordered = [
            at("AT_TIMESTAMP", 0),
            at("TRIM_HORIZON", 0),
            at("LATEST", 0),
            at("9", 0),
            at("10", 0),
            at("10", 3),
            at("49590338271490256608559692538361571095921575989136588802", 0),
            at("SHARD_END", 0),
        ];
        assert!(ordered.is_sorted_by(|a, b| a < b), "{ordered:?}");
        for checkpoint in &ordered {
            let (sequence, sub) = checkpoint.written();
            assert_eq!(Checkpoint::read(sequence, sub).as_ref(), Ok(checkpoint));
        }
        assert!(Checkpoint::read("{\"latest\":1}", 0).unwrap_err().contains("not a sequence number"));
    }

    #[test]
    fn a_lease_goes_from_hand_to_hand() {
        let free = Lease::new("s".into(), Checkpoint::TrimHorizon);
        let a = free.taken_by("a");
        assert_eq!((a.counter, a.owner_switches, a.is_read_by("a")), (1, 0, true), "nobody had it before");
        let asked = a.asked_for_by("b");
        assert!(asked.is_read_by("a") && !asked.is_read_by("b"), "a is to take a last checkpoint");
        let at = Checkpoint::At(Offset::from(7));
        let b = asked.given_back(at.clone());
        assert!(b.is_read_by("b") && !b.is_read_by("a"));
        assert_eq!((b.counter, &b.checkpoint), (3, &at));
        let free = b.given_back(Checkpoint::TrimHorizon);
        assert_eq!((free.owner, free.checkpoint), (None, at), "a checkpoint never goes back");
        assert_eq!(b.taken_by("c").owner_switches, 1);
    }
}
