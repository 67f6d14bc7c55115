//! Memory of state: how much all queries may keep together, and how much each of them keeps.
//!
//! Whoever owns state has an [`Account`] and says now and then how much it is; nobody asks before taking more. What is
//! done about too much comes in an order: readers that run ahead wait ([`Pressure::Ahead`]), cold state goes to disk
//! ([`Pressure::Spill`]), and last the query that holds the most above its fair share stops ([`Pressure::Full`]).
//! Records on their way to workers are not counted here: they have a bound of their own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::spill::SpillFolder;
use crate::stats::QueryStats;

/// From this part of the limit on readers that run ahead wait, in percent.
const AHEAD_PERCENT: u64 = 80;
/// From this part on state goes to disk.
const SPILL_PERCENT: u64 = 90;

/// What state may take.
#[derive(Clone, Debug)]
pub struct MemorySettings {
    /// Bytes of state, of all queries together.
    pub limit: u64,
    /// Where cold state goes when memory is short; what is there already is removed. `None`: it stays in memory.
    pub spill: Option<PathBuf>,
}

impl MemorySettings {
    /// All the memory there is.
    pub fn unlimited() -> Self {
        Self { limit: u64::MAX, spill: None }
    }
}

/// How much state there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryInfo {
    pub limit: u64,
    pub used: u64,
    /// Bytes of state on disk.
    pub spilled: u64,
}

/// How short memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pressure {
    None,
    Ahead,
    Spill,
    Full,
}

/// What all queries keep.
pub(crate) struct MemoryPool {
    limit: u64,
    used: AtomicU64,
    spill: Option<SpillFolder>,
    /// Queries that run.
    sharing: Mutex<Vec<Arc<QueryStats>>>,
}

impl MemoryPool {
    /// Empties the folder for state on disk.
    pub(crate) fn open(settings: &MemorySettings) -> std::io::Result<Arc<Self>> {
        let spill = settings.spill.as_deref().map(SpillFolder::open).transpose()?;
        Ok(Arc::new(Self { limit: settings.limit.max(1), used: AtomicU64::new(0), spill, sharing: Mutex::default() }))
    }

    pub(crate) fn info(&self) -> MemoryInfo {
        let spilled = self.spill.as_ref().map_or(0, SpillFolder::bytes);
        MemoryInfo { limit: self.limit, used: self.used(), spilled }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// What is left before readers wait.
    pub(crate) fn left(&self) -> u64 {
        percent(self.limit, AHEAD_PERCENT).saturating_sub(self.used())
    }

    pub(crate) fn pressure(&self) -> Pressure {
        let used = self.used();
        if used >= self.limit {
            Pressure::Full
        } else if used >= percent(self.limit, SPILL_PERCENT) {
            Pressure::Spill
        } else if used >= percent(self.limit, AHEAD_PERCENT) {
            Pressure::Ahead
        } else {
            Pressure::None
        }
    }

    /// Where state can go.
    pub(crate) fn spill(&self) -> Option<&SpillFolder> {
        self.spill.as_ref()
    }

    /// A query begins to run, and shares the memory until what is answered is dropped.
    pub(crate) fn share(self: &Arc<Self>, stats: &Arc<QueryStats>) -> Share {
        self.sharing().push(Arc::clone(stats));
        Share { pool: Arc::clone(self), stats: Arc::clone(stats) }
    }

    fn sharing(&self) -> MutexGuard<'_, Vec<Arc<QueryStats>>> {
        self.sharing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of a whole that may be too large to be multiplied.
fn percent(whole: u64, percent: u64) -> u64 {
    u64::try_from(u128::from(whole) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

/// The share of one query that runs.
pub(crate) struct Share {
    pool: Arc<MemoryPool>,
    stats: Arc<QueryStats>,
}

impl Share {
    pub(crate) fn pool(&self) -> &MemoryPool {
        &self.pool
    }

    /// What the query keeps now.
    pub(crate) fn bytes(&self) -> u64 {
        self.stats.state_bytes.get()
    }

    /// Some of it was moved to disk.
    pub(crate) fn moved(&self, bytes: u64) {
        self.stats.spilled_bytes.add(bytes);
    }

    /// Room for a part of its state, to be filled by one owner.
    pub(crate) fn account(&self) -> Account {
        Account { pool: Arc::clone(&self.pool), stats: Arc::clone(&self.stats), bytes: 0 }
    }

    /// Whether this is the query that must stop when nothing else helps: of those above their fair share, the largest.
    pub(crate) fn must_yield(&self) -> bool {
        let sharing = self.pool.sharing();
        let own = self.bytes();
        let fair = self.pool.limit / (sharing.len() as u64).max(1);
        own >= fair && sharing.iter().all(|other| other.state_bytes.get() <= own)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut sharing = self.pool.sharing();
        if let Some(own) = sharing.iter().position(|other| Arc::ptr_eq(other, &self.stats)) {
            sharing.swap_remove(own);
        }
    }
}

/// What one owner keeps of a query's state. It is given back when this is dropped.
pub(crate) struct Account {
    pool: Arc<MemoryPool>,
    stats: Arc<QueryStats>,
    bytes: u64,
}

impl Account {
    /// Says how much it is now.
    pub(crate) fn set(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        let before = std::mem::replace(&mut self.bytes, bytes);
        if bytes >= before {
            self.pool.used.fetch_add(bytes - before, Ordering::Relaxed);
            self.stats.state_bytes.add(bytes - before);
        } else {
            self.pool.used.fetch_sub(before - bytes, Ordering::Relaxed);
            self.stats.state_bytes.sub(before - bytes);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Bytes as people read them.
pub(crate) fn readable(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    match UNITS.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(limit: u64) -> Arc<MemoryPool> {
        MemoryPool::open(&MemorySettings { limit, spill: None }).unwrap()
    }

    #[test]
    fn pressure_rises_in_steps_and_falls_when_state_goes() {
        let pool = pool(1000);
        let share = pool.share(&Arc::default());
        let mut account = share.account();
        for (bytes, expected) in [
            (799, Pressure::None),
            (800, Pressure::Ahead),
            (900, Pressure::Spill),
            (1000, Pressure::Full),
            (10, Pressure::None),
        ] {
            account.set(bytes);
            assert_eq!(pool.pressure(), expected, "{bytes}");
        }
        drop(account);
        assert_eq!((pool.info().used, share.bytes()), (0, 0));
    }

    #[test]
    fn the_largest_above_its_fair_share_yields() {
        let pool = pool(1000);
        let (large, small) = (pool.share(&Arc::default()), pool.share(&Arc::default()));
        let (mut of_large, mut of_small) = (large.account(), small.account());
        of_large.set(700);
        of_small.set(300);
        assert!(large.must_yield() && !small.must_yield());
        // What nobody who runs holds, such as the table of a query that has ended, is nobody's fault.
        of_large.set(400);
        assert!(!large.must_yield(), "it is below its half");
        drop((of_small, small));
        of_large.set(1000);
        assert!(large.must_yield());
    }

    #[test]
    fn bytes_are_readable() {
        let cases = [(12, "12 bytes"), (1500, "1.5 kB"), (64_000_000, "64.0 MB"), (4_250_000_000, "4.2 GB")];
        for (bytes, expected) in cases {
            assert_eq!(readable(bytes), expected);
        }
    }
}
