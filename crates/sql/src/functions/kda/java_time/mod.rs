//! Java's `SimpleDateFormat`, for Locale.US and UTC: the formats of `CHAR_TO_TIMESTAMP` and `TIMESTAMP_TO_CHAR`. Parsing is
//! as lenient as Java's: text behind the pattern is left, and 13 is a month. `java_time.tsv` has what Java 17 does, and
//! says how it was made; years before 1582 differ, since Java's calendar changes there and ours does not.

mod fields;
mod format;
mod names;
mod parse;
mod pattern;

pub(super) use pattern::Pattern;

#[cfg(test)]
mod tests {
    use super::super::calendar::{MS_PER_DAY, print_date, print_time};
    use super::Pattern;

    const TABLE: &str = include_str!("../java_time.tsv");

    fn print(ms: i64) -> String {
        let within = ms.rem_euclid(MS_PER_DAY);
        format!("{} {}.{:03}", print_date(ms.div_euclid(MS_PER_DAY)), print_time(within), within % 1000)
    }

    #[test]
    fn every_line_of_javas_table_holds() {
        let milliseconds = Pattern::compile("yyyy-MM-dd HH:mm:ss.SSS").unwrap();
        let mut wrong = Vec::new();
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let parts: Vec<&str> = line.split('\t').collect();
            let (given, found) = match parts.as_slice() {
                ["format", time, pattern, expected] => {
                    let ms = milliseconds.parse(time).unwrap();
                    (*expected, Pattern::compile(pattern).unwrap().format(ms))
                }
                ["parse", pattern, text, expected] => {
                    let parsed = Pattern::compile(pattern).unwrap().parse(&text.replace("\\t", "\t"));
                    (*expected, parsed.map_or_else(|| "error".to_owned(), print))
                }
                ["pattern", pattern, expected] => {
                    (*expected, (if Pattern::compile(pattern).is_ok() { "ok" } else { "error" }).to_owned())
                }
                _ => panic!("no such line: {line}"),
            };
            if given != found {
                wrong.push(format!("{line}: {found}"));
            }
        }
        assert_eq!(wrong, Vec::<String>::new());
    }
}
