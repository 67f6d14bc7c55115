//! Every construct of Kinesis Data Analytics for SQL has a case in `tests/kda/`, and docs/kda-coverage.md shows which.
//!
//! `MILLSTREAM_UPDATE=1` writes the table into the page.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::harness::repository;
use crate::kda_cases::{folders, told};

const PAGE: &str = "docs/kda-coverage.md";
/// Between these lines of the page stands what is generated.
const MARKS: [&str; 2] = ["<!-- coverage: generated, see tests/kda_coverage.rs -->\n", "<!-- coverage: end -->\n"];

/// A part of the documentation, and what is in it: (id, what it is).
struct Part {
    title: String,
    constructs: Vec<(String, String)>,
}

struct Constructs {
    parts: Vec<Part>,
    /// Tested by other tests: the file of theirs.
    elsewhere: BTreeMap<String, String>,
}

impl Constructs {
    fn read() -> Self {
        let text = std::fs::read_to_string(repository().join("tests/kda/constructs.toml")).unwrap();
        let table: toml::Table = text.parse().unwrap();
        let text_of = |value: &toml::Value| value.as_str().expect("a text").to_owned();
        let (mut parts, mut elsewhere) = (Vec::new(), BTreeMap::new());
        for (title, constructs) in &table {
            let constructs = constructs.as_table().expect("a table of constructs");
            if title == "elsewhere" {
                elsewhere = constructs.iter().map(|(id, file)| (id.clone(), text_of(file))).collect();
                continue;
            }
            let number = title.split(' ').next().expect("a part has a number");
            // In the order of the file, which a table does not keep.
            let (_, part) = text.split_once(&format!("[\"{title}\"]")).expect("the part is in the file");
            let line = |name: &str| part.find(&format!("\n\"{name}\" =")).expect("the construct is in its part");
            let mut found: Vec<_> = constructs.iter().collect();
            found.sort_by_key(|(name, _)| line(name));
            let constructs = found.iter().map(|(name, what)| (format!("{number}.{name}"), text_of(what))).collect();
            parts.push(Part { title: title.clone(), constructs });
        }
        parts.sort_by(|one, other| one.title.cmp(&other.title));
        Self { parts, elsewhere }
    }

    fn ids(&self) -> BTreeSet<&str> {
        self.parts.iter().flat_map(|part| &part.constructs).map(|(id, _)| id.as_str()).collect()
    }
}

/// The cases of each construct.
fn cases() -> BTreeMap<String, Vec<String>> {
    let mut cases: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for folder in folders() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        for id in told(&folder)["covers"].as_array().expect("a list of constructs") {
            cases.entry(id.as_str().expect("an id").to_owned()).or_default().push(name.clone());
        }
    }
    cases
}

fn table(constructs: &Constructs, cases: &BTreeMap<String, Vec<String>>) -> String {
    let mut text = String::new();
    for part in &constructs.parts {
        let (number, title) = part.title.split_once(' ').expect("a number and a title");
        write!(text, "\n### {number}. {title}\n| construct | tested by |\n|---|---|\n").unwrap();
        for (id, what) in &part.constructs {
            let place = |name: &String| format!("[{name}](../tests/kda/{name})");
            let places = match (cases.get(id), constructs.elsewhere.get(id)) {
                (Some(names), _) => names.iter().map(place).collect::<Vec<_>>().join(", "),
                (None, Some(file)) => format!("[{file}](../{file})"),
                (None, None) => String::new(),
            };
            writeln!(text, "| {} | {places} |", what.replace('|', "\\|").replace('*', "\\*")).unwrap();
        }
    }
    text + "\n"
}

#[test]
fn every_construct_has_a_case_and_every_case_is_of_constructs() {
    let (constructs, cases) = (Constructs::read(), cases());
    let ids = constructs.ids();
    let has_none = |id: &&&str| !cases.contains_key(**id) && !constructs.elsewhere.contains_key(**id);
    let without: Vec<_> = ids.iter().filter(has_none).collect();
    assert!(without.is_empty(), "no case of tests/kda covers {without:?}");
    let unknown: Vec<_> =
        cases.keys().chain(constructs.elsewhere.keys()).filter(|id| !ids.contains(id.as_str())).collect();
    assert!(unknown.is_empty(), "tests/kda/constructs.toml does not have {unknown:?}");
    for file in constructs.elsewhere.values() {
        assert!(repository().join(file).exists(), "{file} is to test a construct");
    }
}

#[test]
fn the_page_shows_what_is_covered() {
    let page = std::fs::read_to_string(repository().join(PAGE)).unwrap();
    let [begin, end] = MARKS.map(|mark| page.find(mark).unwrap_or_else(|| panic!("{PAGE} has the line {mark}")));
    let range = begin + MARKS[0].len()..end;
    let table = table(&Constructs::read(), &cases());
    if std::env::var_os("MILLSTREAM_UPDATE").is_some() {
        let mut page = page;
        page.replace_range(range, &table);
        std::fs::write(repository().join(PAGE), page).unwrap();
        return;
    }
    assert!(page[range] == table, "{PAGE} is not what the cases say: run this test with MILLSTREAM_UPDATE=1");
}
