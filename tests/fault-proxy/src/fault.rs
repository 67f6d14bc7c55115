//! What can go wrong, and when it does.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// One way in which a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Refused: too fast.
    Throttled,
    /// 500, and nothing was done.
    Internal,
    /// 503 without a body, as a load balancer answers.
    Unavailable,
    /// The connection is reset before the server has seen the request.
    ResetBefore,
    /// The server has done it, and the client never hears of it.
    ResetAfter,
    /// The reply is late.
    Slow,
    /// The reply ends in its middle.
    Cut,
    /// `GetRecords`: the iterator is too old.
    ExpiredIterator,
    /// `PutRecords`: some of the records are refused.
    Partial,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 9] = [
        Self::Throttled,
        Self::Internal,
        Self::Unavailable,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::Slow,
        Self::Cut,
        Self::ExpiredIterator,
        Self::Partial,
    ];

    /// Whether a call of this operation can go wrong in this way.
    fn befalls(self, operation: &str) -> bool {
        match self {
            Self::ExpiredIterator => operation == "GetRecords",
            Self::Partial => operation == "PutRecords",
            _ => true,
        }
    }
}

/// Which faults there are, and how often.
#[derive(Clone, Debug)]
pub struct Faults {
    /// The part of the calls that go wrong, from 0 to 1.
    pub probability: f64,
    /// What may happen.
    pub kinds: Vec<Fault>,
    /// Only calls of these operations go wrong; none named: all.
    pub operations: Vec<String>,
    pub seed: u64,
}

impl Faults {
    /// Every fault, for every operation.
    pub fn all(probability: f64, seed: u64) -> Self {
        Self { probability, kinds: Fault::ALL.to_vec(), operations: Vec::new(), seed }
    }
}

/// Draws faults.
pub(crate) struct Dice {
    faults: Faults,
    random: SmallRng,
}

impl Dice {
    pub(crate) fn new(faults: Faults) -> Self {
        let random = SmallRng::seed_from_u64(faults.seed);
        Self { faults, random }
    }

    pub(crate) fn set_probability(&mut self, probability: f64) {
        self.faults.probability = probability;
    }

    /// What happens to this call.
    pub(crate) fn roll(&mut self, operation: &str) -> Option<Fault> {
        let named = &self.faults.operations;
        let is_meant = named.is_empty() || named.iter().any(|named| named == operation);
        if !is_meant || !self.random.random_bool(self.faults.probability) {
            return None;
        }
        let possible: Vec<_> = self.faults.kinds.iter().filter(|fault| fault.befalls(operation)).copied().collect();
        possible.choose(&mut self.random).copied()
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.random.random_range(0..bound.max(1))
    }

    /// True as often as not.
    pub(crate) fn coin(&mut self) -> bool {
        self.random.random()
    }
}
