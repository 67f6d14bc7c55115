//! GROUPING SETS, ROLLUP and CUBE as lists of sets.

use datafusion::logical_expr::expr::GroupingSet;
use datafusion::logical_expr::{Aggregate, Expr};

/// More sets than this are a mistake.
const MAX_SETS: usize = 256;

/// The sets, written out.
pub(crate) fn grouping_sets(sets: &GroupingSet) -> Vec<Vec<Expr>> {
    match sets {
        GroupingSet::GroupingSets(sets) => sets.clone(),
        GroupingSet::Rollup(exprs) => (0..=exprs.len()).rev().map(|length| exprs[..length].to_vec()).collect(),
        GroupingSet::Cube(exprs) => {
            let subsets = 1_usize.checked_shl(u32::try_from(exprs.len()).unwrap_or(u32::MAX)).unwrap_or(MAX_SETS);
            let subset = |bits: usize| {
                let chosen = exprs.iter().enumerate().filter(|(index, _)| bits & (1 << index) != 0);
                chosen.map(|(_, expr)| expr.clone()).collect()
            };
            (0..subsets.min(MAX_SETS)).rev().map(subset).collect()
        }
    }
}

/// One set of an aggregate: which of its keys are in it, and the value of `__grouping_id` for its rows.
pub(crate) struct SetOf {
    pub(crate) is_in: Vec<bool>,
    pub(crate) id: u64,
}

/// The sets of an aggregate over its distinct keys; `None` for a plain GROUP BY.
pub(crate) fn sets_of(aggregate: &Aggregate, keys: &[&Expr]) -> Option<Vec<SetOf>> {
    let [Expr::GroupingSet(sets)] = aggregate.group_expr.as_slice() else { return None };
    let mut seen: Vec<Vec<bool>> = Vec::new();
    let sets = grouping_sets(sets).into_iter().map(|set| {
        let is_in: Vec<bool> = keys.iter().map(|key| set.contains(key)).collect();
        let repeated = seen.iter().filter(|earlier| **earlier == is_in).count() as u64;
        seen.push(is_in.clone());
        // The lowest bits say which keys are NULL, the first key highest; above them repeated sets are counted.
        let absent = is_in.iter().fold(0_u64, |id, present| (id << 1) | u64::from(!present));
        SetOf { is_in, id: absent | (repeated << keys.len()) }
    });
    Some(sets.collect())
}
