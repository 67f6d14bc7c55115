//! Dependencies between the crates point one way (ARCHITECTURE.md), and files stay readable.

use std::collections::BTreeMap;

use crate::harness::repository;

/// Each crate and the crates of ours that it may depend on.
const ARROWS: [(&str, &[&str]); 8] = [
    ("core", &[]),
    ("analytics", &[]),
    ("local-kinesis", &[]),
    ("kda", &[]),
    ("sql", &["analytics", "core"]),
    ("engine", &["analytics", "core", "sql"]),
    ("connectors", &["core", "local-kinesis"]),
    ("millstream", &["core", "sql", "engine", "connectors", "local-kinesis", "kda"]),
];

#[test]
fn crates_depend_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let folders = std::fs::read_dir(repository().join("crates")).unwrap();
    let mut seen = 0;
    for folder in folders {
        let folder = folder.unwrap().path();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let manifest: toml::Table = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap();
        let may = allowed.get(name.as_str()).unwrap_or_else(|| panic!("crates/{name} is not in the architecture"));
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = manifest.get(section).and_then(toml::Value::as_table) else { continue };
            for dependency in dependencies.keys().filter_map(|dependency| dependency.strip_prefix("millstream-")) {
                assert!(may.contains(&dependency), "crates/{name} must not depend on {dependency}");
            }
        }
        seen += 1;
    }
    assert_eq!(seen, ARROWS.len());
}

#[test]
fn core_and_sql_do_no_io() {
    for (name, forbidden) in [
        ("core", &["tokio", "datafusion", "aws-config", "axum"][..]),
        ("sql", &["tokio", "axum", "parquet"]),
        ("kda", &["tokio", "datafusion", "aws-config", "axum"]),
    ] {
        let manifest: toml::Table = std::fs::read_to_string(repository().join("crates").join(name).join("Cargo.toml"))
            .unwrap()
            .parse()
            .unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap();
        for dependency in forbidden {
            assert!(!dependencies.contains_key(*dependency), "crates/{name} must not depend on {dependency}");
        }
    }
}
