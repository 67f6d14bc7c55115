//! What a closer does about the memory of its query, and about its own limit of groups.

use std::sync::Arc;

use datafusion::common::Result;

use crate::memory::{Account, Pressure, Share, readable};
use crate::stages::Stages;
use crate::stats::QueryStats;

/// State goes to disk until this part of the limit is in use, in percent of it.
const RELIEVED_PERCENT: u64 = 70;
/// What could not be moved is tried again when there is this much more, as a part of the limit.
const WORTH_A_TRY: u64 = 32;
/// Queries with less than this part of the limit are left alone.
const WORTH_MOVING: u64 = 128;
/// To show open windows takes about this many times what they are made of: merged, in rows, and in the table by key.
const LOOK_COST: u64 = 4;

/// The memory of one query, as its closer sees it.
pub(crate) struct Budget {
    memory: Arc<Share>,
    /// What the operators keep.
    account: Account,
    max_groups: Option<u64>,
    /// The groups that were counted the last time, and how many there might have been then.
    counted: (u64, u64),
    /// What the query had when nothing of it could be moved, and why if it failed.
    stuck: Option<(u64, Option<String>)>,
}

impl Budget {
    pub(crate) fn new(memory: Arc<Share>, max_groups: Option<u64>) -> Self {
        Self { account: memory.account(), memory, max_groups, counted: (0, 0), stuck: None }
    }

    /// Says how much the operators keep.
    pub(crate) fn measure(&mut self, stages: &Stages) {
        self.account.set(stages.bytes());
    }

    /// Whether something is to be done, for which workers are to hand over what they have.
    pub(crate) fn is_exceeded(&self, stages: &Stages, stats: &QueryStats) -> bool {
        if self.max_groups.is_some_and(|most| self.groups_at_most(stages, stats) > most) {
            return true;
        }
        let (own, limit) = (self.memory.bytes(), self.memory.pool().limit());
        match self.memory.pool().pressure() {
            Pressure::None | Pressure::Ahead => false,
            Pressure::Full => own > limit / WORTH_MOVING,
            Pressure::Spill => {
                let is_stuck = self.stuck.as_ref().is_some_and(|(then, _)| own < then + limit / WORTH_A_TRY);
                own > limit / WORTH_MOVING && !is_stuck
            }
        }
    }

    /// How many groups there may be: more than were counted by as much as came since.
    fn groups_at_most(&self, stages: &Stages, stats: &QueryStats) -> u64 {
        let now = stages.groups_at_most() as u64 + stats.pane_groups.get();
        let (counted, then) = self.counted;
        if now < then { now } else { counted + (now - then) }
    }

    /// Does it, now that all there is has been handed over. Answers why the query cannot go on, if it cannot.
    pub(crate) fn relieve(&mut self, stages: &mut Stages) -> Result<Option<String>> {
        if let Some(most) = self.max_groups
            && stages.groups_at_most() as u64 > most
        {
            let groups = stages.count_groups()? as u64;
            self.counted = (groups, stages.groups_at_most() as u64);
            if groups > most {
                return Ok(Some(format!(
                    "its state has {groups} groups, keys or rows, and 'max-groups' is {most}. It takes no more input; its \
                     last checkpoint is kept. Raise 'max-groups' and define it again, or bound it with shorter windows, \
                     fewer keys or 'ttl'"
                )));
            }
        }
        self.measure(stages);
        if self.memory.pool().pressure() < Pressure::Spill {
            self.stuck = None;
            return Ok(None);
        }
        let pool = self.memory.pool();
        let relieved = pool.limit() / 100 * RELIEVED_PERCENT;
        let (freed, failed) = match stages.spill(pool.info().used.saturating_sub(relieved)) {
            Ok(freed) => (freed, None),
            Err(error) => (0, Some(error.strip_backtrace())),
        };
        self.measure(stages);
        if freed > 0 {
            self.memory.moved(freed);
            self.stuck = None;
            return Ok(None);
        }
        if let Some(reason) = &failed
            && self.stuck.as_ref().is_none_or(|(_, before)| before.as_ref() != Some(reason))
        {
            tracing::warn!(%reason, "state stays in memory");
        }
        self.stuck = Some((self.memory.bytes(), failed));
        let pool = self.memory.pool();
        if pool.pressure() < Pressure::Full || !self.memory.must_yield() {
            return Ok(None);
        }
        let (own, limit, used) = (readable(self.memory.bytes()), readable(pool.limit()), readable(pool.info().used));
        let failed = self.stuck.as_ref().and_then(|(_, failed)| failed.as_deref());
        let failed = failed.map_or(String::new(), |failed| format!(" ({failed})"));
        Ok(Some(format!(
            "its state takes {own} of memory and nothing of it can be moved to disk{failed}; all queries take {used}, and \
             memory.limit is {limit}. It takes no more input; its last checkpoint is kept. Raise memory.limit and \
             restart: it goes on from there. Or bound it with shorter windows, fewer keys, 'ttl' or 'max-groups'"
        )))
    }

    /// Whether there is room to show open windows.
    pub(crate) fn can_look(&self) -> bool {
        self.memory.bytes().saturating_mul(LOOK_COST) <= self.memory.pool().left()
    }
}
