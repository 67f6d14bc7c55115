//! A difference for people: `-` was expected, `+` was given, and some rows around for orientation.

use std::fmt::Write;

use super::{Difference, Mark};

/// Rows around one that differs.
const CONTEXT: usize = 2;
/// More lines of a table are not shown.
const LINES_MAX: usize = 100;

/// The text of all differences of a test, with a line break at its end.
pub(crate) fn text_of(expected: &str, differences: &[Difference]) -> String {
    let mut text = format!("--- {expected}\n+++ what the query gives\n");
    for difference in differences {
        let (missing, unexpected) = (difference.count(Mark::Missing), difference.count(Mark::Unexpected));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "@@ {}: {missing} missing, {unexpected} not expected @@", difference.table);
        let lines = shown(difference);
        for line in lines.iter().take(LINES_MAX) {
            let _ = writeln!(text, "{line}");
        }
        if lines.len() > LINES_MAX {
            let _ = writeln!(text, " … and {} more lines", lines.len() - LINES_MAX);
        }
    }
    text
}

fn shown(difference: &Difference) -> Vec<String> {
    let rows = &difference.rows;
    let mut is_near = vec![false; rows.len()];
    for (place, _) in rows.iter().enumerate().filter(|(_, (mark, _))| *mark != Mark::Same) {
        let end = rows.len().min(place + CONTEXT + 1);
        is_near[place.saturating_sub(CONTEXT)..end].fill(true);
    }
    let mut lines = Vec::new();
    let mut skipped = false;
    for ((mark, row), is_near) in rows.iter().zip(is_near) {
        if !is_near {
            skipped = true;
            continue;
        }
        if std::mem::take(&mut skipped) {
            lines.push(" …".to_owned());
        }
        let sign = match mark {
            Mark::Same => ' ',
            Mark::Missing => '-',
            Mark::Unexpected => '+',
        };
        lines.push(format!("{sign}{}", row.text));
    }
    if skipped {
        lines.push(" …".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql_tests::compare::compare;
    use crate::sql_tests::rows::read;

    #[test]
    fn only_what_differs_is_shown_with_what_is_around_it() {
        let rows = |numbers: &[i64]| {
            let line = |n: &i64| format!("{{\"table\":\"t\",\"row\":{{\"n\":{n}}}}}\n");
            read(&numbers.iter().map(line).collect::<String>()).unwrap()
        };
        let differences = compare(&rows(&[1, 2, 3, 4, 5, 6, 7, 8]), &rows(&[1, 2, 3, 4, 6, 7, 8, 9]), true);
        let text = text_of("expected.ndjson", &differences);
        let expected = "--- expected.ndjson\n+++ what the query gives\n@@ t: 1 missing, 1 not expected @@\n \
                        …\n {\"n\":3}\n {\"n\":4}\n-{\"n\":5}\n {\"n\":6}\n {\"n\":7}\n {\"n\":8}\n+{\"n\":9}\n";
        assert_eq!(text, expected);
    }
}
