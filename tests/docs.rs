//! The documentation is true: its examples run and give the rows that stand there, and what it says is refused is.
//!
//! `MILLSTREAM_UPDATE=1` writes the rows that the examples of docs/sql-features.md give into it. Read the change before
//! you keep it.

use std::collections::BTreeSet;
use std::ops::Range;

use millstream_engine::{CheckReport, Engine};
use millstream_sql::parse;
use serde_json::Value;

use crate::harness::{Cut, batch, repository, sorted, stream_and_ask};
use crate::refused::engine;

/// A fenced block of a page, and where its text stands.
#[derive(Clone, Debug)]
struct Block {
    language: String,
    text: String,
    range: Range<usize>,
}

/// What stands under a heading.
#[derive(Clone, Debug, Default)]
struct Section {
    level: usize,
    title: String,
    prose: String,
    blocks: Vec<Block>,
}

impl Section {
    fn only(&self, language: &str) -> &Block {
        let mut found = self.blocks.iter().filter(|block| block.language == language);
        let block = found.next().unwrap_or_else(|| panic!("`{}` has no block of {language}", self.title));
        assert!(found.next().is_none(), "`{}` has one block of {language}", self.title);
        block
    }
}

fn page(name: &str) -> String {
    std::fs::read_to_string(repository().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn sections(page: &str) -> Vec<Section> {
    let mut sections = vec![Section::default()];
    let mut open: Option<Block> = None;
    let mut at = 0;
    for line in page.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let section = sections.last_mut().expect("there is one from the start");
        if let Some(mut block) = open.take() {
            if line.starts_with("```") {
                page[block.range.clone()].clone_into(&mut block.text);
                section.blocks.push(block);
            } else {
                block.range.end = at;
                open = Some(block);
            }
        } else if let Some(language) = line.strip_prefix("```") {
            open = Some(Block { language: language.trim().to_owned(), text: String::new(), range: at..at });
        } else if line.starts_with('#') {
            let title = line.trim_start_matches('#');
            let (level, title) = (line.len() - title.len(), title.trim().to_owned());
            sections.push(Section { level, title, ..Section::default() });
        } else {
            section.prose.push_str(&page[start..at]);
        }
    }
    assert!(open.is_none(), "every block is closed");
    sections
}

fn values(text: &str) -> Vec<Value> {
    let value = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().filter(|line| !line.trim().is_empty()).map(value).collect()
}

/// Says of an example that the order of its rows means something.
const IN_ORDER: &str = "Rows stand in the order in which they are given.";
/// Says that an example has no batch form; the reason follows.
const NO_BATCH: &str = "No batch form: ";

/// An example of docs/sql-features.md, as it is run.
struct Example<'a> {
    section: &'a Section,
    /// Its statements after the tables, without the question.
    script: String,
    /// A SELECT of tables, asked when everything has ended.
    question: Option<String>,
    replay: String,
    rows: &'a Block,
}

impl<'a> Example<'a> {
    fn new(section: &'a Section, tables: &str, records: &str) -> Self {
        let sql = section.only("sql");
        // More records, the query, its rows.
        let [more @ .., query, rows] = &section.blocks[..] else { panic!("`{}` has no rows", section.title) };
        assert_eq!(query.language, "sql", "`{}`: the query stands above its rows", section.title);
        assert!(more.iter().chain([rows]).all(|block| block.language == "ndjson"), "`{}`", section.title);
        let mut replay = records.to_owned();
        replay.extend(more.iter().map(|block| block.text.as_str()));
        let statements = parse(&sql.text).unwrap_or_else(|error| panic!("`{}`: {error}", section.title));
        let is_select = |text: &str| text.starts_with("SELECT") || text.starts_with("WITH");
        let (last, others) = statements.split_last().expect("an example has statements");
        let (script, question) = match (is_select(&last.text), others) {
            (true, []) => (format!("CREATE MATERIALIZED VIEW r AS {}", last.text), None),
            (true, others) => (join(others), Some(last.text.clone())),
            (false, _) => (join(&statements), None),
        };
        Self { section, script: format!("{tables};{script}"), question, replay, rows }
    }

    /// The rows of the last query, or the answer to the question.
    fn stream(&self, cut: Cut) -> Result<Vec<Value>, String> {
        let mut run = stream_and_ask(&self.script, &self.replay, cut, self.question.as_deref())?;
        Ok(match self.question {
            Some(_) => run.answer,
            None => run.results.remove(&self.last_table()).expect("the last query has a result"),
        })
    }

    fn batch(&self) -> Result<Vec<Value>, String> {
        let script = [Some(self.script.as_str()), self.question.as_deref()].into_iter().flatten().collect::<Vec<_>>();
        let mut results = batch(&script.join(";"), &self.replay)?;
        Ok(results.remove(&self.last_table()).unwrap_or_default())
    }

    /// Where the last query's rows go.
    fn last_table(&self) -> String {
        let statements = parse(&self.script).unwrap();
        let last = statements.last().expect("there are statements");
        match last.text.strip_prefix("INSERT INTO ") {
            Some(rest) => rest.split([' ', '\n', '(']).next().expect("a name follows").to_owned(),
            None => last.creates().expect("the last statement creates a query").to_owned(),
        }
    }

    fn compared(&self, rows: &[Value]) -> Vec<String> {
        if self.section.prose.contains(IN_ORDER) {
            return rows.iter().map(ToString::to_string).collect();
        }
        sorted(rows)
    }

    /// What is wrong with it.
    fn check(&self) -> Vec<String> {
        let expected = self.compared(&values(&self.rows.text));
        let mut wrong = Vec::new();
        let mut compare = |how: &str, found: Result<Vec<Value>, String>| match found.map(|rows| self.compared(&rows)) {
            Ok(rows) if rows == expected => {}
            Ok(rows) => wrong.push(format!("{how} gives\n    {}", rows.join("\n    "))),
            Err(error) => wrong.push(format!("{how}: {error}")),
        };
        compare("a stream", self.stream(Cut::default()));
        let without_batch = self.section.prose.contains(NO_BATCH);
        // Chunks that are cut at random places are computed in other rounds, and what is late depends on them.
        let seed = (!without_batch).then_some(1);
        compare("a stream on three workers", self.stream(Cut { workers: 3, seed, ..Cut::default() }));
        match self.batch() {
            rows if !without_batch => compare("a batch", rows),
            Ok(rows) if self.compared(&rows) == expected => {
                wrong.push("it says that it has no batch form, and a batch gives these rows".to_owned());
            }
            _ => {}
        }
        wrong
    }
}

fn join(statements: &[millstream_sql::Statement]) -> String {
    statements.iter().map(|statement| statement.text.as_str()).collect::<Vec<_>>().join(";")
}

/// The tables and the records of docs/sql-features.md. Its files are written into `folder`.
fn given(sections: &[Section], folder: &std::path::Path) -> (String, String) {
    let of = |title: &str| sections.iter().find(|section| section.title == title).expect("the page has its start");
    let (tables, records) = (of("The tables"), of("The records"));
    let mut sql = tables.only("sql").text.trim_end().trim_end_matches(';').to_owned();
    for (language, file) in [("json", "shops.json"), ("csv", "shops.csv")] {
        let path = folder.join(file);
        std::fs::write(&path, &records.only(language).text).unwrap();
        let named = format!("'path' = '{file}'");
        assert!(sql.contains(&named), "a table is over {file}");
        sql = sql.replace(&named, &format!("'path' = '{}'", path.display()));
    }
    (sql, records.only("ndjson").text.clone())
}

#[test]
fn every_feature_of_sql_gives_the_rows_of_its_example() {
    const PAGE: &str = "docs/sql-features.md";
    let text = page(PAGE);
    let sections = sections(&text);
    let folder = tempfile::tempdir().unwrap();
    let (tables, records) = given(&sections, folder.path());
    let examples: Vec<Example<'_>> = sections
        .iter()
        .filter(|section| section.level == 3)
        .map(|section| Example::new(section, &tables, &records))
        .collect();
    assert!(examples.len() > 60, "{PAGE} has {} examples", examples.len());
    if std::env::var_os("MILLSTREAM_UPDATE").is_some() {
        return update(PAGE, &text, &examples);
    }
    let mut wrong = Vec::new();
    for example in &examples {
        wrong.extend(example.check().into_iter().map(|reason| format!("`{}`: {reason}", example.section.title)));
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Writes what the examples give into the page; those that fail keep what they have.
fn update(name: &str, page: &str, examples: &[Example<'_>]) {
    let mut page = page.to_owned();
    let mut failed = Vec::new();
    for example in examples.iter().rev() {
        match example.stream(Cut::default()) {
            Ok(rows) => {
                let lines: String = rows.iter().flat_map(|row| [row.to_string(), "\n".to_owned()]).collect();
                page.replace_range(example.rows.range.clone(), &lines);
            }
            Err(error) => failed.push(format!("`{}`: {error}", example.section.title)),
        }
    }
    std::fs::write(repository().join(name), page).unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_table_of_features_has_every_example() {
    let text = page("docs/sql-features.md");
    let anchor = |title: &str| -> String {
        let kept =
            title.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        kept.replace(' ', "-")
    };
    let sections = sections(&text);
    let titles = sections.iter().filter(|section| section.level == 3).map(|section| section.title.clone());
    let titles: Vec<String> = titles.collect();
    let listed: Vec<String> = sections[1]
        .prose
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(") |")?.split_once(" | "))
        .map(|(title, rest)| {
            assert!(rest.ends_with(&format!("[example](#{}", anchor(title))), "{title}: {rest}");
            title.to_owned()
        })
        .collect();
    assert_eq!(listed, titles);
}

/// What `check` says of a statement over tables.
fn report(engine: &Engine, tables: &str, sql: &str) -> CheckReport {
    engine.check(&format!("{};\n{sql}", tables.trim_end().trim_end_matches(';')))
}

#[test]
fn what_the_features_say_is_refused_is() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let engine = engine(&runtime);
    let sections = sections(&page("docs/sql-features.md"));
    let folder = tempfile::tempdir().unwrap();
    let (tables, _) = given(&sections, folder.path());
    let section = sections.iter().find(|section| section.title == "What is refused").expect("the page says so");
    let (mut wrong, mut codes) = (Vec::new(), BTreeSet::new());
    let (setup, examples) = section.blocks.split_first().expect("tables, then examples");
    let tables = format!("{tables};\n{}", setup.text);
    assert!(report(&engine, &tables, "").errors.is_empty(), "{:?}", report(&engine, &tables, "").errors);
    for case in examples.iter().flat_map(|block| block.text.split("-- ").skip(1)) {
        let (says, sql) = case.split_once('\n').expect("a statement follows");
        let code = says.split([':', ' ']).next().expect("a code comes first");
        let report = report(&engine, &tables, sql);
        match report.errors.first() {
            None => wrong.push(format!("accepted: {case}")),
            Some(error) => {
                let found = error.code.map_or("none".to_owned(), |code| format!("{code:?}"));
                if found != code || error.hint.is_none() && error.code.is_some() {
                    wrong.push(format!("{case}  found {error:?}"));
                }
                codes.insert(found);
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let missing: Vec<String> = all_codes().filter(|code| !codes.contains(code)).collect();
    assert!(missing.is_empty(), "no example of {missing:?}");
}

fn all_codes() -> impl Iterator<Item = String> {
    (1..=14).map(|number| format!("E{number:02}"))
}

#[test]
fn each_code_has_an_example_and_a_remedy() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let engine = engine(&runtime);
    let sections = sections(&page("docs/errors.md"));
    let is_code = |section: &&Section| {
        let code = section.title.split(' ').next().unwrap_or_default();
        section.level == 2 && (code.starts_with('E') || code.starts_with('W')) && code[1..].parse::<u8>().is_ok()
    };
    let tables =
        &sections.iter().find(|section| !is_code(section) && !section.blocks.is_empty()).unwrap().blocks[0].text;
    let mut wrong = Vec::new();
    let mut codes = Vec::new();
    for section in sections.iter().filter(is_code) {
        let code = section.title.split(' ').next().expect("a title has words");
        codes.push(code.to_owned());
        let (mut examples, mut remedies) = (0, 0);
        for block in section.blocks.iter().filter(|block| block.language == "sql") {
            let report = report(&engine, tables, &block.text);
            let warnings = report.warnings.iter().map(|warning| warning.code.to_owned());
            let errors =
                report.errors.iter().map(|error| error.code.map_or("none".to_owned(), |code| format!("{code:?}")));
            let found: Vec<String> = if code.starts_with('W') { warnings.collect() } else { errors.collect() };
            let is_example = block.text.starts_with("-- refused") || block.text.starts_with("-- W");
            *(if is_example { &mut examples } else { &mut remedies }) += 1;
            let right = if is_example {
                !found.is_empty() && found.iter().all(|found| found == code)
            } else {
                report.errors.is_empty() && !found.iter().any(|found| found == code)
            };
            if !right {
                wrong.push(format!("{code}: {}  found {found:?} {:?}", block.text, report.errors));
            }
        }
        if examples == 0 || remedies == 0 {
            wrong.push(format!("{code} has {examples} examples and {remedies} remedies"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let expected: Vec<String> = all_codes().chain(["W1", "W2"].map(str::to_owned)).collect();
    assert_eq!(codes, expected);
}
