//! Every `query.sql` of `queries/` gives its expected rows, in batch and on a stream, however the stream is cut.

use std::collections::BTreeMap;
use std::path::Path;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::harness::{Cut, Results, batch, repository, sorted, stream};

struct Topic {
    name: String,
    query: String,
    input: String,
    expected: Results,
}

fn topics() -> Vec<Topic> {
    let mut topics: Vec<Topic> = std::fs::read_dir(repository().join("queries"))
        .unwrap()
        .map(|folder| folder.unwrap().path())
        .filter(|folder| folder.join("query.sql").exists())
        .map(|folder| read_topic(&folder))
        .collect();
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(topics.len() >= 2, "queries/ has its topics");
    topics
}

fn read_topic(folder: &Path) -> Topic {
    let read = |file: &str| {
        std::fs::read_to_string(folder.join(file))
            .unwrap_or_else(|error| panic!("{}/{file}: {error}", folder.display()))
    };
    let mut expected = BTreeMap::new();
    for line in read("expected.ndjson").lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let table = line["table"].as_str().unwrap().to_owned();
        expected.entry(table).or_insert_with(Vec::new).push(line["row"].clone());
    }
    Topic {
        name: folder.file_name().unwrap().to_string_lossy().into_owned(),
        query: read("query.sql"),
        input: read("input.ndjson"),
        expected,
    }
}

fn assert_results(context: &str, found: &Results, expected: &Results) {
    for (table, rows) in expected {
        let found = found.get(table).unwrap_or_else(|| panic!("{context}: no rows of {table}"));
        assert_eq!(sorted(found), sorted(rows), "{context}: {table}");
    }
    let tables = |results: &Results| results.keys().cloned().collect::<Vec<_>>();
    assert_eq!(tables(found), tables(expected), "{context}: every table is expected");
}

#[test]
fn every_query_gives_its_expected_rows() {
    for topic in topics() {
        let run = stream(&topic.query, &topic.input, Cut::default()).unwrap();
        assert_results(&topic.name, &run.results, &topic.expected);
        for (query, stats) in run.stats {
            let all = stats.filtered.get() + stats.late.get() + stats.rejected.get() + stats.used.get();
            assert_eq!(stats.rows_in.get(), all, "{}: {query}: no record is unaccounted for", topic.name);
        }
    }
}

#[test]
fn every_query_gives_the_same_rows_as_a_batch() {
    for topic in topics() {
        assert_results(&topic.name, &batch(&topic.query, &topic.input).unwrap(), &topic.expected);
    }
}

#[test]
fn results_do_not_depend_on_cuts_shards_or_workers() {
    for topic in topics() {
        for seed in 1..=25 {
            let mut random = SmallRng::seed_from_u64(seed);
            let cut = Cut { workers: random.random_range(1..=4), shards: random.random_range(1..=8), seed: Some(seed) };
            let run = stream(&topic.query, &topic.input, cut).unwrap();
            assert_results(&format!("{} {cut:?}", topic.name), &run.results, &topic.expected);
        }
    }
}
