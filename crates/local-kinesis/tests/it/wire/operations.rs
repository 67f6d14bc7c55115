//! The table of operations and the page about it.

use millstream_local_kinesis::operation_names;

/// The first column of the page's first table.
#[test]
fn the_page_lists_the_operations_that_are_answered() {
    let page = include_str!("../../../../../docs/kinesis-api.md");
    let section = page.split("## Operations").nth(1).unwrap().split("\n## ").next().unwrap();
    let cell = |line: &str| line.strip_prefix("| `")?.split('`').next().map(ToOwned::to_owned);
    let listed: Vec<String> = section.lines().filter_map(cell).collect();
    assert_eq!(listed, operation_names().collect::<Vec<_>>());
}
