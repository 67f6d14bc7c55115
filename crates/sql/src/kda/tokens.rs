//! KDA's grammar on tokens: what sqlparser does not know is put into words that it does.
//!
//! | KDA | becomes |
//! |---|---|
//! | `SELECT STREAM` | `SELECT` |
//! | `STEP(t BY INTERVAL …)` | `STEP(t, INTERVAL …)` |
//! | `(a - b) SECOND` | `KDA_DIFFERENCE((a - b), 'SECOND')` |
//! | `CURSOR(SELECT …)` | `(SELECT …)` |
//! | `WINDOWED BY STAGGER (PARTITION BY a RANGE i)` | `GROUP BY KDA_STAGGER(i), a` |
//! | `FROM s OVER (RANGE i PRECEDING) AS a` | `FROM s AS a`, the window in [`Tokens::windows`] |
//! | `ORDER BY t WITHIN i` | `ORDER BY KDA_WITHIN(t, i)` |
//! | `'a' 'b'` | `'ab'` |

use std::collections::HashMap;

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Word};

/// Marks of the grammar that stay in expressions as calls.
pub(super) const DIFFERENCE: &str = "KDA_DIFFERENCE";
pub(super) const STAGGER: &str = "KDA_STAGGER";
pub(super) const WITHIN: &str = "KDA_WITHIN";
pub(super) const NTH_FROM_LAST: &str = "KDA_NTH_VALUE_FROM_LAST";

/// Words that may stand before a bracket without being a function's name.
const BEFORE_BRACKETS: [&str; 24] = [
    "SELECT", "ALL", "DISTINCT", "WHERE", "AND", "OR", "NOT", "WHEN", "THEN", "ELSE", "CASE", "BY", "ON", "HAVING",
    "BETWEEN", "IN", "LIKE", "RETURN", "FROM", "FOR", "TO", "AS", "IS", "USING",
];
const UNITS: [&str; 6] = ["YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"];

/// A statement's tokens, without white space.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) tokens: Vec<TokenWithSpan>,
    /// Windows of relations in FROM, by the place of the relation's alias, or of its name if it has none.
    pub(super) windows: HashMap<Location, Vec<TokenWithSpan>>,
}

/// Rewrites the tokens of one statement.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>) -> Tokens {
    let mut tokens: Vec<_> =
        tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF)).collect();
    join_literals(&mut tokens);
    let mut windows = HashMap::new();
    words(&mut tokens);
    take_windows(&mut tokens, &mut windows);
    steps(&mut tokens);
    differences(&mut tokens);
    staggers(&mut tokens);
    withins(&mut tokens);
    Tokens { tokens, windows }
}

/// The upper-case text of an unquoted word.
pub(super) fn word(token: Option<&TokenWithSpan>) -> Option<String> {
    match &token?.token {
        Token::Word(Word { value, quote_style: None, .. }) => Some(value.to_uppercase()),
        _ => None,
    }
}

pub(super) fn is_word(token: Option<&TokenWithSpan>, text: &str) -> bool {
    word(token).is_some_and(|word| word == text)
}

fn is(token: Option<&TokenWithSpan>, wanted: &Token) -> bool {
    token.is_some_and(|token| token.token == *wanted)
}

fn made(token: Token, like: &TokenWithSpan) -> TokenWithSpan {
    TokenWithSpan { token, span: like.span }
}

fn name(text: &str, like: &TokenWithSpan) -> TokenWithSpan {
    made(Token::Word(Word { value: text.to_owned(), quote_style: None, keyword: Keyword::NoKeyword }), like)
}

/// The index of the bracket that closes the one at `open`.
fn closing(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => {
                depth -= 1;
                if depth == 0 {
                    return Some(index);
                }
            }
            _ => {}
        }
    }
    None
}

/// The index of the bracket that the one at `close` closes.
fn opening(tokens: &[TokenWithSpan], close: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for index in (0..=close).rev() {
        match tokens[index].token {
            Token::RParen => depth += 1,
            Token::LParen => {
                depth -= 1;
                if depth == 0 {
                    return Some(index);
                }
            }
            _ => {}
        }
    }
    None
}

/// Where `FLOOR(x TO MINUTE / 5)` stands, which sqlparser would only say that it is wrong of.
pub(super) fn divided_unit(tokens: &[TokenWithSpan]) -> Option<(&TokenWithSpan, String)> {
    tokens.windows(3).find_map(|three| {
        let unit = word(three.get(1)).filter(|word| UNITS.contains(&word.as_str()))?;
        (is_word(three.first(), "TO") && three[2].token == Token::Div).then(|| (&three[2], unit))
    })
}

/// Literals beside each other are one.
fn join_literals(tokens: &mut Vec<TokenWithSpan>) {
    let mut index = 0;
    while index + 1 < tokens.len() {
        if let (Token::SingleQuotedString(first), Token::SingleQuotedString(second)) =
            (&tokens[index].token, &tokens[index + 1].token)
        {
            let joined = format!("{first}{second}");
            tokens[index].token = Token::SingleQuotedString(joined);
            tokens.remove(index + 1);
        } else {
            index += 1;
        }
    }
}

/// Words that say nothing here, and words that are called something else.
fn words(tokens: &mut Vec<TokenWithSpan>) {
    let mut index = 0;
    while index < tokens.len() {
        let next = |by: usize| tokens.get(index + by);
        let before = index.checked_sub(1).and_then(|before| tokens.get(before));
        match word(next(0)).as_deref() {
            Some("STREAM") if ["SELECT", "DISTINCT", "ALL"].iter().any(|select| is_word(before, select)) => {
                tokens.remove(index);
                continue;
            }
            Some("CURSOR" | "PERIOD") if is(next(1), &Token::LParen) => {
                tokens.remove(index);
                continue;
            }
            Some("EXPEDITED") if is_word(before, "INSERT") => {
                tokens.remove(index);
                continue;
            }
            // What is trimmed is a blank unless it is said.
            Some("LEADING" | "TRAILING" | "BOTH") if is_word(next(1), "FROM") => {
                let blank = made(Token::SingleQuotedString(" ".to_owned()), &tokens[index]);
                tokens.insert(index + 1, blank);
            }
            Some("CEILING") if is(next(1), &Token::LParen) => {
                tokens[index] = {
                    let mut renamed = name("CEIL", &tokens[index]);
                    if let Token::Word(word) = &mut renamed.token {
                        word.keyword = Keyword::CEIL;
                    }
                    renamed
                }
            }
            Some("ANY") if is(next(1), &Token::LParen) && !is_comparison(before) => {
                tokens[index] = name("KDA_ANY", &tokens[index]);
            }
            Some("NTH_VALUE") if is(next(1), &Token::LParen) => {
                if let Some(close) = closing(tokens, index + 1)
                    && is_word(tokens.get(close + 1), "FROM")
                {
                    let from_last = is_word(tokens.get(close + 2), "LAST");
                    if from_last || is_word(tokens.get(close + 2), "FIRST") {
                        tokens.drain(close + 1..close + 3);
                    }
                    if from_last {
                        tokens[index] = name(NTH_FROM_LAST, &tokens[index]);
                    }
                }
            }
            _ => {}
        }
        index += 1;
    }
}

fn is_comparison(token: Option<&TokenWithSpan>) -> bool {
    token.is_some_and(|token| {
        matches!(token.token, Token::Eq | Token::Neq | Token::Lt | Token::LtEq | Token::Gt | Token::GtEq)
    })
}

/// `STEP(a BY b)`.
fn steps(tokens: &mut [TokenWithSpan]) {
    for index in 0..tokens.len() {
        if !(is_word(tokens.get(index), "STEP") && is(tokens.get(index + 1), &Token::LParen)) {
            continue;
        }
        let Some(close) = closing(tokens, index + 1) else { continue };
        let mut depth = 0;
        for inner in index + 2..close {
            match tokens[inner].token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ if depth == 0 && is_word(tokens.get(inner), "BY") => {
                    tokens[inner] = made(Token::Comma, &tokens[inner]);
                }
                _ => {}
            }
        }
    }
}

/// `(a - b) SECOND`, `(a - b) DAY TO SECOND(3)`.
fn differences(tokens: &mut Vec<TokenWithSpan>) {
    let mut index = 0;
    while index < tokens.len() {
        let unit = word(tokens.get(index + 1)).filter(|word| UNITS.contains(&word.as_str()));
        let (true, Some(mut unit)) = (is(tokens.get(index), &Token::RParen), unit) else {
            index += 1;
            continue;
        };
        let Some(open) = opening(tokens, index) else {
            index += 1;
            continue;
        };
        let before = open.checked_sub(1).and_then(|before| tokens.get(before));
        let is_call = match before.map(|before| &before.token) {
            Some(Token::Word(word)) => {
                word.quote_style.is_some() || !BEFORE_BRACKETS.contains(&word.value.to_uppercase().as_str())
            }
            _ => false,
        };
        if is_call {
            index += 1;
            continue;
        }
        let mut end = index + 2;
        skip_precision(tokens, &mut end);
        if is_word(tokens.get(end), "TO")
            && let Some(last) = word(tokens.get(end + 1)).filter(|word| UNITS.contains(&word.as_str()))
        {
            unit = format!("{unit} TO {last}");
            end += 2;
            skip_precision(tokens, &mut end);
        }
        let place = tokens[index + 1].clone();
        let tail =
            [made(Token::Comma, &place), made(Token::SingleQuotedString(unit), &place), made(Token::RParen, &place)];
        tokens.splice(index + 1..end, tail);
        let head = [name(DIFFERENCE, &place), made(Token::LParen, &place)];
        tokens.splice(open..open, head);
        index += 3;
    }
}

fn skip_precision(tokens: &[TokenWithSpan], end: &mut usize) {
    if is(tokens.get(*end), &Token::LParen)
        && let Some(close) = closing(tokens, *end)
    {
        *end = close + 1;
    }
}

/// `WINDOWED BY STAGGER (PARTITION BY a, b RANGE INTERVAL …)`.
fn staggers(tokens: &mut Vec<TokenWithSpan>) {
    let mut index = 0;
    while index + 3 < tokens.len() {
        let starts = is_word(tokens.get(index), "WINDOWED")
            && is_word(tokens.get(index + 1), "BY")
            && is_word(tokens.get(index + 2), "STAGGER")
            && is(tokens.get(index + 3), &Token::LParen);
        let Some(close) = starts.then(|| closing(tokens, index + 3)).flatten() else {
            index += 1;
            continue;
        };
        let inner: Vec<_> = tokens[index + 4..close].to_vec();
        let at = tokens[index].clone();
        let range = inner.iter().rposition(|token| is_word(Some(token), "RANGE"));
        let (keys, size) = match range {
            Some(range) => (&inner[..range], &inner[range + 1..]),
            None => (&inner[..], &inner[..0]),
        };
        let keys = match keys {
            [partition, by, keys @ ..] if is_word(Some(partition), "PARTITION") && is_word(Some(by), "BY") => keys,
            keys => keys,
        };
        let mut grouped = vec![
            made(Token::make_keyword("GROUP"), &at),
            made(Token::make_keyword("BY"), &at),
            name(STAGGER, &at),
            made(Token::LParen, &at),
        ];
        grouped.extend(size.iter().cloned());
        grouped.push(made(Token::RParen, &at));
        if !keys.is_empty() {
            grouped.push(made(Token::Comma, &at));
            grouped.extend(keys.iter().cloned());
        }
        let length = grouped.len();
        tokens.splice(index..=close, grouped);
        index += length;
    }
}

/// `ORDER BY t WITHIN INTERVAL '5' MINUTE`.
fn withins(tokens: &mut Vec<TokenWithSpan>) {
    let mut index = 0;
    while index < tokens.len() {
        if !(is_word(tokens.get(index), "WITHIN") && is_word(tokens.get(index + 1), "INTERVAL")) {
            index += 1;
            continue;
        }
        let Some(by) = (0..index).rev().find(|at| is_word(tokens.get(*at), "BY")) else {
            index += 1;
            continue;
        };
        // INTERVAL, its text, its unit with a precision, and perhaps TO another.
        let mut end = index + 4;
        skip_precision(tokens, &mut end);
        if is_word(tokens.get(end), "TO") {
            end += 2;
            skip_precision(tokens, &mut end);
        }
        let end = end.min(tokens.len());
        let at = tokens[index].clone();
        tokens.insert(end, made(Token::RParen, &at));
        tokens[index] = made(Token::Comma, &at);
        tokens.insert(by + 1, made(Token::LParen, &at));
        tokens.insert(by + 1, name(WITHIN, &at));
        index = end + 2;
    }
}

/// Takes `OVER (…)` of relations in FROM out.
fn take_windows(tokens: &mut Vec<TokenWithSpan>, windows: &mut HashMap<Location, Vec<TokenWithSpan>>) {
    // For each open bracket whether it is in FROM.
    let mut in_from = vec![false];
    let mut index = 0;
    while index < tokens.len() {
        match &tokens[index].token {
            Token::LParen => in_from.push(false),
            Token::RParen if in_from.len() > 1 => {
                in_from.pop();
            }
            _ => {}
        }
        let word = word(tokens.get(index));
        let Some(here) = in_from.last_mut() else { return };
        match word.as_deref() {
            Some("FROM" | "JOIN") => *here = true,
            Some(
                "SELECT" | "WHERE" | "GROUP" | "HAVING" | "WINDOW" | "ORDER" | "WINDOWED" | "ON" | "USING" | "UNION",
            ) => {
                *here = false;
            }
            Some("OVER") if *here && index > 0 => {
                let end = match tokens.get(index + 1).map(|token| &token.token) {
                    Some(Token::LParen) => closing(tokens, index + 1).map(|close| close + 1),
                    Some(Token::Word(_)) => Some(index + 2),
                    _ => None,
                };
                if let Some(end) = end {
                    let taken: Vec<_> = tokens.drain(index..end).skip(1).collect();
                    let mut key = tokens[index - 1].span.start;
                    let mut after = index;
                    if is_word(tokens.get(after), "AS") {
                        after += 1;
                    }
                    if let Some(TokenWithSpan { token: Token::Word(next), span }) = tokens.get(after)
                        && (after > index || next.quote_style.is_some() || !is_clause(&next.value))
                    {
                        key = span.start;
                    }
                    windows.insert(key, taken);
                    continue;
                }
            }
            _ => {}
        }
        index += 1;
    }
}

/// Words that may follow a relation and are not its alias.
fn is_clause(word: &str) -> bool {
    const CLAUSES: [&str; 18] = [
        "JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "NATURAL", "ON", "USING", "WHERE", "GROUP", "HAVING",
        "WINDOW", "WINDOWED", "ORDER", "UNION", "OUTER", "LIMIT",
    ];
    CLAUSES.contains(&word.to_uppercase().as_str())
}
