//! What KDA's SELECTs become.

use super::translate;

const SOURCE: &str = r#"
CREATE TABLE "SOURCE_SQL_STREAM_001" ("TICKER" VARCHAR(4), "PRICE" REAL, "QTY" INTEGER, "sensor_id" VARCHAR(8), "TS" TIMESTAMP, "AMOUNT" DECIMAL(8,2))
WITH ('connector' = 'stream', 'stream' = 's', 'format' = 'json');
CREATE TABLE "Company" ("Ticker" VARCHAR(4), "Company" VARCHAR(20)) WITH ('connector' = 'filesystem', 'path' = 'c.csv', 'format' = 'csv');
"#;

#[test]
fn show() {
    let script = std::env::var("KDA").unwrap_or_default();
    if script.is_empty() {
        return;
    }
    match translate(&format!("{SOURCE}{script}")) {
        Ok((statements, warnings)) => {
            for s in statements {
                println!("{};\n", s.sql);
            }
            for w in warnings {
                println!("warning: {}", w.message);
            }
        }
        Err(errors) => errors.iter().for_each(|e| println!("ERROR {:?} {} hint {:?}", e.at, e.message, e.hint)),
    }
}
