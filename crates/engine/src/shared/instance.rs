//! One shard of a shared query: an ordinary query that reads nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use millstream_core::{LeasedShard, Offsets, ShardStart, Start};
use millstream_sql::{ContinuousQuery, SqlError};

use super::instance_name;
use crate::checkpoint::query_folder;
use crate::durable::{Origin, load};
use crate::engine::{Inner, MAX_QUERIES};

/// The one life that a shard's part of a query has: whoever reads it writes there. With a folder for each life, as other
/// queries have, two processes that start at the same time would not meet.
const ONLY_LIFE: &str = "shared";

impl Inner {
    /// Starts the instance of a shard. Waits for the store of checkpoints.
    pub(super) fn start_shard(
        self: &Arc<Self>,
        plan: ContinuousQuery,
        source: &str,
        leased: &LeasedShard,
    ) -> Result<(), SqlError> {
        let name = instance_name(&plan.name, &leased.shard);
        let query = plan.name.clone();
        let mut prepared = {
            let state = self.lock();
            if state.stopping {
                return Err(SqlError::new("the service is stopping"));
            }
            if state.queries.len() >= MAX_QUERIES {
                return Err(SqlError::new(format!("there would be more than {MAX_QUERIES} queries")));
            }
            if state.queries.contains_key(&name) {
                return Err(SqlError::new(format!("`{name}` is read already")));
            }
            let plan = ContinuousQuery { name: name.clone(), ..plan };
            self.compile(plan, &|relation| self.reference(&state, &HashMap::new(), relation))?
        };
        let origin = self.origin(&mut prepared, false, self.clock.now())?;
        let mut origin = origin.ok_or_else(|| SqlError::new("no checkpoints are taken here"))?;
        origin.at_shard(&name, source, leased);
        if origin.is_new_to(source, leased) && !leased.parents.is_empty() {
            let sharded = prepared.plan.pipeline.sharded.clone();
            let state = self.inherit(&mut origin, &query, source, leased, sharded.as_ref(), &prepared)?;
            load(&mut prepared, state)?;
        }
        let writer = self.claim(&mut origin, &prepared)?;
        let mut state = self.lock();
        let mut started = Vec::new();
        self.start_query(&mut state, prepared, writer.map(|writer| (origin, writer)), name, &mut started)?;
        self.start_readers(&mut state, &started)
    }
}

impl Origin {
    /// The same for one shard, which begins where its lease says if no checkpoint knows better.
    fn at_shard(&mut self, name: &str, source: &str, leased: &LeasedShard) {
        if !self.is_restored {
            self.folder = format!("{}/{ONLY_LIFE}", query_folder(name));
            self.garbage.clear();
        }
        let point = self.resume.sources.entry(source.to_owned()).or_default();
        // What it knows of the shard's parents is of them.
        let own = point.offsets.get(&leased.shard).cloned();
        let begins = match (&leased.start, own) {
            (_, Some(own)) => Some(own),
            (ShardStart::After(offset), None) => Some(offset.clone()),
            _ => None,
        };
        point.offsets = begins.into_iter().map(|offset| (leased.shard.clone(), offset)).collect::<Offsets>();
        self.resume.start = match leased.start {
            ShardStart::Beginning => Some(Start::Beginning),
            ShardStart::Latest => Some(Start::Latest),
            ShardStart::At(time) => Some(Start::At(time)),
            ShardStart::Configured | ShardStart::After(_) => None,
        };
        self.resume.only = Some(leased.shard.clone());
    }

    /// Whether nothing of the shard is in any checkpoint yet, neither records nor state of its parents.
    fn is_new_to(&self, source: &str, leased: &LeasedShard) -> bool {
        let has_read = self.resume.sources.get(source).is_some_and(|point| point.offsets.get(&leased.shard).is_some());
        !has_read && self.base.values.is_empty() && self.base.entries.is_empty()
    }
}
