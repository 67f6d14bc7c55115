//! Secrets in SQL: values of options such as `'password' = '…'` are hidden wherever statements are shown.

/// Words in an option's key that make its value a secret.
const SECRET_WORDS: [&str; 6] = ["password", "passwd", "secret", "token", "credential", "accesskey"];
/// Last parts of a key that make its value a secret: `api-key`, but not `key.field`.
const SECRET_ENDINGS: [&str; 5] = ["api-key", "access-key", "private-key", "api_key", "access.key"];
const HIDDEN: &str = "'***'";

/// The statement with the values of secret options hidden.
pub(crate) fn redact(sql: &str) -> String {
    let mut shown = String::with_capacity(sql.len());
    // The last string literal, and whether only `=` and blanks have followed it.
    let mut key: Option<String> = None;
    let mut equals = false;
    let mut rest = sql;
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '\'' => literal_length(rest, '\''),
            '"' => literal_length(rest, '"'),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            other => other.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        let is_secret = next == '\'' && equals && key.as_deref().is_some_and(is_secret_key);
        shown.push_str(if is_secret { HIDDEN } else { token });
        match next {
            '\'' => (key, equals) = (Some(token.trim_matches('\'').to_lowercase()), false),
            '=' => equals = key.is_some(),
            _ if next.is_whitespace() || token.len() > 1 && matches!(next, '-' | '/') => {}
            _ => (key, equals) = (None, false),
        }
    }
    shown
}

fn is_secret_key(key: &str) -> bool {
    SECRET_WORDS.iter().any(|word| key.contains(word)) || SECRET_ENDINGS.iter().any(|ending| key.ends_with(ending))
}

/// Length of a quoted text with its quotes; a doubled quote is part of it.
fn literal_length(text: &str, quote: char) -> usize {
    let mut at = 1;
    while let Some(end) = text[at..].find(quote) {
        at += end + 1;
        if !text[at..].starts_with(quote) {
            return at;
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secret_options_are_hidden_and_nothing_else() {
        for (sql, shown) in [
            ("WITH ('password' = 'hunter2', 'path' = '/x')", "WITH ('password' = '***', 'path' = '/x')"),
            ("WITH ('aws.credentials.basic.secretkey'='a''b')", "WITH ('aws.credentials.basic.secretkey'='***')"),
            (
                "WITH ('http.api-key' = 'k', 'key.field' = 'user_id')",
                "WITH ('http.api-key' = '***', 'key.field' = 'user_id')",
            ),
            ("WITH ('token' -- it's here\n = 'x')", "WITH ('token' -- it's here\n = '***')"),
            ("SELECT 'password', 'a' FROM t WHERE x = 'secret'", "SELECT 'password', 'a' FROM t WHERE x = 'secret'"),
            ("SELECT \"it's\" FROM t WHERE token = 'a'", "SELECT \"it's\" FROM t WHERE token = 'a'"),
            ("WITH ('Token' = 'unfinished", "WITH ('Token' = '***'"),
        ] {
            assert_eq!(redact(sql), shown);
        }
    }
}
