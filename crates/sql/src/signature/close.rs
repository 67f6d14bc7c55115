//! CLOSE of a stage that another one follows, as text: steps from the leaves up. Columns are called by what they are; a
//! step that only selects or renames has no text.

use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, SortExpr};

use super::parts::{of_join, sides};
use super::text::{Named, distinct_names, listed};
use crate::SqlError;
use crate::plan::LeafNode;

/// A computed column with a longer text is called by its number.
const NAME_CHARS_MAX: usize = 80;

/// Part of a plan: what is done, and what its columns are called.
pub(super) struct Outputs {
    pub(super) text: String,
    pub(super) names: Vec<String>,
}

/// The text of a plan over leaves whose columns have these names.
pub(super) fn outputs(plan: &LogicalPlan, leaves: &[Vec<String>]) -> Result<Outputs, SqlError> {
    let below = plan.inputs().into_iter().map(|input| outputs(input, leaves)).collect::<Result<Vec<_>, _>>()?;
    match (plan, below.as_slice()) {
        (LogicalPlan::Extension(extension), _) => match extension.node.as_any().downcast_ref::<LeafNode>() {
            Some(leaf) => {
                let names = leaves.get(leaf.leaf).cloned().unwrap_or_default();
                Ok(Outputs { text: format!("input {}", leaf.leaf + 1), names })
            }
            None => Ok(other(plan, &below)),
        },
        (LogicalPlan::Join(join), [left, right]) => {
            let (on_left, on_right) = (named(&join.left, left), named(&join.right, right));
            let pair = |(l, r): &(Expr, Expr)| Ok(format!("{} = {}", on_left.text(l)?, on_right.text(r)?));
            let mut on = join.on.iter().map(pair).collect::<Result<Vec<_>, SqlError>>()?;
            on.sort_unstable();
            let schema = join.left.schema().join(join.right.schema())?;
            let both = sides(&left.names, &right.names);
            let filter = Named { schema: &schema, names: &both }.conditions(&join.filter)?;
            let text = format!(
                "({}) {} join ({}) on {}, {:?}, if {filter}",
                left.text,
                join.join_type,
                right.text,
                listed(&on, " AND "),
                join.null_equality
            );
            let names = of_join(&left.names, &right.names, join.schema.fields().len(), join.join_type);
            Ok(Outputs { text, names })
        }
        (LogicalPlan::Union(_), parts) => {
            let part = |part: &Outputs| format!("({}, columns {})", part.text, part.names.join(", "));
            let text = parts.iter().map(part).collect::<Vec<_>>().join(" union all ");
            let names = (1..=plan.schema().fields().len()).map(|number| format!("column {number}")).collect();
            Ok(Outputs { text, names })
        }
        (_, [input]) => step(plan, input),
        _ => Ok(other(plan, &below)),
    }
}

fn named<'a>(plan: &'a LogicalPlan, outputs: &'a Outputs) -> Named<'a> {
    Named { schema: plan.schema(), names: &outputs.names }
}

/// What is done to one input.
fn step(plan: &LogicalPlan, input: &Outputs) -> Result<Outputs, SqlError> {
    let below = plan.inputs().into_iter().next();
    let schema = below.map_or_else(|| plan.schema(), |below| below.schema());
    let named = Named { schema, names: &input.names };
    let then = |step: String, names: Vec<String>| Outputs { text: format!("{}, {step}", input.text), names };
    let same = |step: String| then(step, input.names.clone());
    Ok(match plan {
        LogicalPlan::SubqueryAlias(_) => Outputs { text: input.text.clone(), names: input.names.clone() },
        LogicalPlan::Projection(projection) => {
            let texts = named.texts(&projection.expr)?;
            let is_computed = |expr: &Expr| !matches!(expr.clone().unalias_nested().data, Expr::Column(_));
            let mut computed = Vec::new();
            let mut names = Vec::new();
            for (expr, text) in projection.expr.iter().zip(texts) {
                let is_long = text.chars().count() > NAME_CHARS_MAX;
                if is_computed(expr) {
                    computed.push(text.clone());
                }
                names.push(if is_long { format!("computed {}", computed.len()) } else { text });
            }
            let names = distinct_names(names);
            if computed.is_empty() {
                return Ok(Outputs { text: input.text.clone(), names });
            }
            then(format!("compute {}", computed.join(", ")), names)
        }
        LogicalPlan::Filter(filter) => same(format!("filter {}", named.conditions([&filter.predicate])?)),
        LogicalPlan::Aggregate(aggregate) => {
            let (keys, aggregates) = (named.texts(&aggregate.group_expr)?, named.texts(&aggregate.aggr_expr)?);
            let text = format!("group by {} into {}", listed(&keys, ", "), listed(&aggregates, ", "));
            // A set of keys has more columns than expressions.
            let all: Vec<String> = keys.into_iter().chain(aggregates).collect();
            let is_plain = all.len() == aggregate.schema.fields().len();
            let numbered = || (1..=aggregate.schema.fields().len()).map(|number| format!("group column {number}"));
            then(text, distinct_names(if is_plain { all } else { numbered().collect() }))
        }
        LogicalPlan::Window(window) => {
            let functions = named.texts(&window.window_expr)?;
            let names = input.names.iter().cloned().chain(functions.iter().cloned()).collect();
            then(format!("over {}", functions.join(", ")), distinct_names(names))
        }
        LogicalPlan::Sort(sort) => {
            let fetch = sort.fetch.map(|fetch| format!(", first {fetch}")).unwrap_or_default();
            same(format!("order by {}{fetch}", sorts(&sort.expr, named)?))
        }
        LogicalPlan::Limit(limit) => {
            let number =
                |expr: &Option<Box<Expr>>| expr.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
            same(format!("limit {} offset {}", number(&limit.fetch), number(&limit.skip)))
        }
        LogicalPlan::Distinct(Distinct::All(_)) => same("distinct".to_owned()),
        _ => other(plan, std::slice::from_ref(input)),
    })
}

fn sorts(sorts: &[SortExpr], named: Named<'_>) -> Result<String, SqlError> {
    let text = |sort: &SortExpr| {
        let nulls = if sort.nulls_first { "NULLS FIRST" } else { "NULLS LAST" };
        Ok(format!("{} {} {nulls}", named.text(&sort.expr)?, if sort.asc { "ASC" } else { "DESC" }))
    };
    Ok(sorts.iter().map(text).collect::<Result<Vec<_>, SqlError>>()?.join(", "))
}

/// Tables that are there whole, and what is rare: as DataFusion writes it.
fn other(plan: &LogicalPlan, inputs: &[Outputs]) -> Outputs {
    let below = inputs.iter().map(|input| format!("({}, columns {}), ", input.text, input.names.join(", ")));
    let text = format!("{}{}", below.collect::<String>(), plan.display());
    let names = plan.schema().fields().iter().map(|field| field.name().clone()).collect();
    Outputs { text, names: distinct_names(names) }
}
