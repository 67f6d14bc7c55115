//! Types of columns, as applications write them and as SQL has them.

/// Every type, and how many numbers it may have in parentheses.
const TYPES: [(&str, usize); 23] = [
    ("TINYINT", 0),
    ("SMALLINT", 0),
    ("INTEGER", 0),
    ("INT", 0),
    ("BIGINT", 0),
    ("DECIMAL", 2),
    ("DEC", 2),
    ("NUMERIC", 2),
    ("REAL", 0),
    ("FLOAT", 0),
    ("DOUBLE", 0),
    ("DOUBLE PRECISION", 0),
    ("BOOLEAN", 0),
    ("CHAR", 1),
    ("CHARACTER", 1),
    ("VARCHAR", 1),
    ("CHAR VARYING", 1),
    ("CHARACTER VARYING", 1),
    ("BINARY", 1),
    ("VARBINARY", 1),
    ("DATE", 0),
    ("TIME", 1),
    ("TIMESTAMP", 1),
];

/// The type in one form: upper case, one blank between words. `None`: there is no such type.
pub(crate) fn normal(text: &str) -> Option<String> {
    let (name, arguments) = match text.split_once('(') {
        Some((name, rest)) => (name, Some(rest.trim_end().strip_suffix(')')?)),
        None => (text, None),
    };
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase();
    let numbers: Vec<&str> = arguments.map(|text| text.split(',').map(str::trim).collect()).unwrap_or_default();
    let is_number = |text: &&str| (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let (_, most) = TYPES.iter().find(|(known, _)| *known == name)?;
    if numbers.len() > *most || !numbers.iter().all(is_number) {
        return None;
    }
    Some(if numbers.is_empty() { name } else { format!("{name}({})", numbers.join(",")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_one_form() {
        for (text, expected) in [
            ("VARCHAR(4)", Some("VARCHAR(4)")),
            (" varchar ( 32 ) ", Some("VARCHAR(32)")),
            ("decimal(10, 2)", Some("DECIMAL(10,2)")),
            ("double  precision", Some("DOUBLE PRECISION")),
            ("TIMESTAMP", Some("TIMESTAMP")),
            ("CHAR", Some("CHAR")),
            ("STRING", None),
            ("INTEGER(4)", None),
            ("VARCHAR(4", None),
            ("VARCHAR()", None),
            ("VARCHAR(x)", None),
            ("VARCHAR(4) NOT NULL", None),
            ("DECIMAL(1,2,3)", None),
            ("", None),
        ] {
            assert_eq!(normal(text).as_deref(), expected, "{text}");
        }
    }
}
