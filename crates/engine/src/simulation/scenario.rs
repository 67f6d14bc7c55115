//! What one seed simulates: queries, workers, streams, and how often what goes wrong.

use std::fmt::Write as _;
use std::sync::Arc;

use super::random::Random;
use super::stream::Stream;
use super::world::{Faults, Shared};

/// One query: its text, and the columns of a sink for it; `None`: its rows change, and only a live table takes them.
struct Text {
    name: &'static str,
    before: &'static str,
    select: &'static str,
    columns: Option<&'static str>,
    options: &'static str,
    streams: &'static [&'static str],
}

const WINDOW: &str = "window_start TIMESTAMP(3), window_end TIMESTAMP(3), k STRING, c BIGINT, n BIGINT";
const OVER: &str = "id BIGINT, k STRING, ts TIMESTAMP(3), c BIGINT, n BIGINT";
const JOIN: &str = "a BIGINT, b BIGINT, k STRING, ts TIMESTAMP(3)";
/// More disorder than is declared, where a query takes rows that are so late.
pub(super) const LATENESS_MS: i64 = 4000;

macro_rules! over {
    ($frame:literal) => {
        concat!(
            "SELECT id, k, ts, count(*) OVER w AS c, sum(n) OVER w AS n FROM clicks WINDOW w AS (PARTITION BY k ORDER BY ts ",
            $frame,
            ")"
        )
    };
}

const CLICKS: &[&str] = &["clicks"];
const BOTH: &[&str] = &["orders", "payments"];

const TEXTS: &[Text] = &[
    Text {
        name: "tumble",
        before: "",
        select: "SELECT window_start, window_end, k, count(*) AS c, sum(n) AS n FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '4' SECOND)) GROUP BY window_start, window_end, k",
        columns: Some(WINDOW),
        options: "",
        streams: CLICKS,
    },
    Text {
        name: "hop",
        before: "",
        select: "SELECT window_start, window_end, k, count(*) AS c, sum(n) AS n FROM TABLE(HOP(TABLE clicks, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '6' SECOND)) GROUP BY window_start, window_end, k",
        columns: Some(WINDOW),
        options: "",
        streams: CLICKS,
    },
    Text {
        name: "cumulate",
        before: "",
        select: "SELECT window_start, window_end, k, count(*) AS c, sum(n) AS n FROM TABLE(CUMULATE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '8' SECOND)) GROUP BY window_start, window_end, k",
        columns: Some(WINDOW),
        options: "",
        streams: CLICKS,
    },
    Text {
        name: "session",
        before: "",
        select: "SELECT window_start, window_end, k, count(*) AS c, sum(n) AS n FROM TABLE(SESSION(TABLE clicks PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' SECOND)) GROUP BY window_start, window_end, k",
        columns: Some(WINDOW),
        options: "",
        streams: CLICKS,
    },
    Text {
        name: "inner_join",
        before: "",
        select: "SELECT o.id AS a, p.id AS b, o.k AS k, o.ts AS ts FROM orders o JOIN payments p ON o.k = p.k AND p.ts BETWEEN o.ts - INTERVAL '1' SECOND AND o.ts + INTERVAL '2' SECOND",
        columns: Some(JOIN),
        options: "",
        streams: BOTH,
    },
    Text {
        name: "left_join",
        before: "",
        select: "SELECT o.id AS a, p.id AS b, o.k AS k, o.ts AS ts FROM orders o LEFT JOIN payments p ON o.k = p.k AND p.ts BETWEEN o.ts - INTERVAL '1' SECOND AND o.ts + INTERVAL '1' SECOND",
        columns: Some(JOIN),
        options: "",
        streams: BOTH,
    },
    Text {
        name: "over_running",
        before: "",
        select: over!("RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"),
        columns: Some(OVER),
        options: "",
        streams: CLICKS,
    },
    Text {
        name: "over_rows",
        before: "",
        select: over!("ROWS BETWEEN 3 PRECEDING AND CURRENT ROW"),
        columns: Some(OVER),
        options: "",
        streams: CLICKS,
    },
    Text {
        name: "over_range",
        before: "",
        select: over!("RANGE BETWEEN INTERVAL '3' SECOND PRECEDING AND CURRENT ROW"),
        columns: Some(OVER),
        options: "",
        streams: CLICKS,
    },
    Text {
        name: "top",
        before: "",
        select: "SELECT id, k, n, place FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY n DESC, id) AS place FROM clicks) WHERE place <= 3",
        columns: None,
        options: "",
        streams: CLICKS,
    },
    Text {
        name: "updating",
        before: "",
        select: "SELECT k, count(*) AS c, sum(n) AS n, max(id) AS last FROM clicks GROUP BY k",
        columns: None,
        options: "",
        streams: CLICKS,
    },
    Text {
        name: "stateless",
        before: "",
        select: "SELECT id, k, n * 2 AS n FROM clicks WHERE n % 3 <> 0",
        columns: Some("id BIGINT, k STRING, n BIGINT"),
        options: "",
        streams: CLICKS,
    },
    Text {
        name: "both",
        before: "",
        select: "SELECT id, k, n FROM orders UNION ALL SELECT id, k, n FROM payments",
        columns: Some("id BIGINT, k STRING, n BIGINT"),
        options: "",
        streams: BOTH,
    },
    Text {
        name: "rewindow",
        before: "CREATE VIEW twos AS SELECT window_start AS started, window_time AS closed, k, count(*) AS c, sum(n) AS n FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '2' SECOND)) GROUP BY window_start, window_end, window_time, k;",
        select: "SELECT window_start, window_end, k, sum(c) AS c, sum(n) AS n FROM TABLE(TUMBLE(TABLE twos, DESCRIPTOR(closed), INTERVAL '6' SECOND)) GROUP BY window_start, window_end, k",
        columns: Some(WINDOW),
        options: "",
        streams: CLICKS,
    },
    Text {
        name: "top_of_window",
        before: "",
        select: "SELECT window_start, window_end, k, id AS c, n FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, k ORDER BY n DESC, id) AS place FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '5' SECOND))) WHERE place <= 2",
        columns: Some(WINDOW),
        options: "",
        streams: CLICKS,
    },
    Text {
        name: "late",
        before: "",
        select: "SELECT window_start, window_end, k, count(*) AS c, sum(n) AS n FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '4' SECOND)) GROUP BY window_start, window_end, k",
        columns: None,
        options: " WITH ('allowed-lateness' = '4 s')",
        streams: CLICKS,
    },
];

/// How likely what is the next step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights {
    pub(super) worker: usize,
    pub(super) closer: usize,
    pub(super) silence: usize,
    pub(super) task: usize,
    pub(super) clock: usize,
}

pub(super) struct Scenario {
    pub(super) script: String,
    /// The views, by name.
    pub(super) views: Vec<String>,
    /// The views whose rows do not change once they are final.
    pub(super) lasting: Vec<String>,
    pub(super) workers: usize,
    pub(super) queue_bytes: usize,
    pub(super) interval_ms: i64,
    pub(super) retained: usize,
    pub(super) weights: Weights,
    pub(super) crashes: usize,
    pub(super) has_second_process: bool,
    pub(super) damages: bool,
    pub(super) jumps: bool,
}

impl Scenario {
    /// Makes a scenario, and its streams in the world.
    pub(super) fn make(world: &Shared) -> Self {
        let mut guard = world.lock();
        let guard = &mut *guard;
        let random = &mut guard.random;
        let wanted = *random.pick(&[1, 1, 1, 2, 2, 3]);
        let mut texts: Vec<&Text> = Vec::new();
        while texts.len() < wanted {
            let text = random.pick(TEXTS);
            if texts.iter().all(|other| other.name != text.name) {
                texts.push(text);
            }
        }
        // Rows that are too late for one query would be too late for others too.
        if texts.iter().any(|text| text.name == "late") {
            texts.retain(|text| text.name == "late");
        }
        let late_ms = if texts[0].name == "late" { LATENESS_MS - 500 } else { 0 };
        let mut streams: Vec<&str> = texts.iter().flat_map(|text| text.streams).copied().collect();
        streams.sort_unstable();
        streams.dedup();
        let idle = *random.pick(&["0 s", "0 s", "1 s"]);
        let mut script = String::new();
        for name in streams {
            let records = random.between(10, 60);
            let stream = Stream::make(random, records, late_ms, guard.now);
            guard.streams.insert(name.to_owned(), Arc::new(stream));
            writeln!(script, "CREATE TABLE {name} (id BIGINT, k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'stream', 'scan.watermark.idle-timeout' = '{idle}');").unwrap();
        }
        let (mut views, mut lasting) = (Vec::new(), Vec::new());
        for Text { name, before, select, columns, options, .. } in texts {
            script += before;
            match columns.filter(|_| random.chance(600)) {
                Some(columns) => {
                    let connector = random.pick(&["files", "log"]);
                    writeln!(script, "CREATE TABLE {name}_{connector} ({columns}) WITH ('connector' = '{connector}');")
                        .unwrap();
                    writeln!(script, "INSERT INTO {name}_{connector} {select};").unwrap();
                }
                None => {
                    writeln!(script, "CREATE MATERIALIZED VIEW {name}{options} AS {select};").unwrap();
                    views.push((*name).to_owned());
                    if columns.is_some() {
                        lasting.push((*name).to_owned());
                    }
                }
            }
        }
        let weight = |random: &mut Random| *random.pick(&[1, 3, 10, 30]);
        let weights = Weights {
            worker: weight(random),
            closer: weight(random),
            silence: *random.pick(&[1, 2]),
            task: weight(random),
            clock: *random.pick(&[1, 3, 6]),
        };
        let rate = |random: &mut Random, most: usize| if random.chance(500) { 0 } else { random.below(most) };
        guard.faults = Faults {
            store: rate(random, 100),
            store_polls: random.below(6),
            sink: rate(random, 200),
            sink_polls: random.below(5),
            sink_fatal: rate(random, 4),
            reader: rate(random, 40),
        };
        Self {
            script,
            views,
            lasting,
            workers: random.between(1, 3),
            queue_bytes: *random.pick(&[600, 4000, 1 << 20]),
            interval_ms: *random.pick(&[100, 400, 1500]),
            retained: random.between(1, 3),
            weights,
            crashes: random.below(4),
            has_second_process: random.chance(200),
            damages: random.chance(200),
            jumps: random.chance(300),
        }
    }
}
