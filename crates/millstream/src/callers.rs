//! Who may call the service: bearer tokens, and keys that requests of the Kinesis API are signed with, as the
//! configuration names them.

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;

use crate::config::variable_of;
use crate::http::Role;

/// A bearer token and what it allows. It has no `Debug`: tokens are not to be printed.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    pub(crate) token: String,
    pub(crate) role: Role,
}

/// A key that requests of the Kinesis API are signed with. It has no `Debug`: secrets are not to be printed.
#[derive(Clone)]
pub(crate) struct AwsKey {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) role: Role,
}

/// What the file says of a key: its secret, or that and its role.
#[derive(Deserialize)]
#[serde(untagged)]
enum AwsKeyEntry {
    Secret(String),
    Table(AwsKeyTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AwsKeyTable {
    secret: String,
    role: Role,
}

/// Everybody who is known.
#[derive(Default)]
pub(crate) struct Callers {
    pub(crate) tokens: Vec<Token>,
    pub(crate) aws_keys: Vec<AwsKey>,
}

impl Callers {
    /// Those of the environment, where it names some; fails where one is empty.
    pub(crate) fn or_from(mut self, environment: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        if let Some(given) = environment(&variable_of("auth.tokens")) {
            self.tokens = tokens_of(&given)?;
        }
        if let Some(given) = environment(&variable_of("auth.aws_keys")) {
            self.aws_keys = aws_keys_of(&given)?;
        }
        if let Some(empty) = self.tokens.iter().position(|token| token.token.is_empty()) {
            bail!("auth.tokens: token {} is empty", empty + 1);
        }
        if let Some(empty) = self.aws_keys.iter().find(|key| key.id.is_empty() || key.secret.is_empty()) {
            bail!("auth.aws_keys: the id or the secret of key `{}` is empty", empty.id);
        }
        Ok(self)
    }
}

/// `token:role,token:role`; a token may hold colons.
fn tokens_of(given: &str) -> anyhow::Result<Vec<Token>> {
    let variable = variable_of("auth.tokens");
    let one = |entry: &str| {
        let (token, role) = entry.trim().rsplit_once(':').with_context(|| format!("{variable}: write token:role"))?;
        let role = role.parse().map_err(|reason| anyhow!("{variable}: {reason}"))?;
        Ok(Token { token: token.to_owned(), role })
    };
    given.split(',').filter(|entry| !entry.trim().is_empty()).map(one).collect()
}

/// `id = "secret"`, or `id = { secret = "…", role = "…" }`. What is wrong is not shown: it may be a secret.
pub(crate) fn aws_keys_in(table: &toml::Table) -> anyhow::Result<Vec<AwsKey>> {
    let one = |(id, value): (&String, &toml::Value)| {
        let expected = || format!("auth.aws_keys.{id}: write \"secret\" or {{ secret = \"…\", role = \"producer\" }}");
        let entry: AwsKeyEntry = value.clone().try_into().map_err(|_| anyhow!(expected()))?;
        let (secret, role) = match entry {
            AwsKeyEntry::Secret(secret) => (secret, Role::Producer),
            AwsKeyEntry::Table(AwsKeyTable { secret, role }) => (secret, role),
        };
        Ok(AwsKey { id: id.clone(), secret, role })
    };
    table.iter().map(one).collect()
}

/// `id:secret:role,id:secret`; without a role it is a producer's.
fn aws_keys_of(given: &str) -> anyhow::Result<Vec<AwsKey>> {
    let variable = variable_of("auth.aws_keys");
    let one = |entry: &str| {
        let (id, rest) = entry.trim().split_once(':').with_context(|| format!("{variable}: write id:secret:role"))?;
        let (secret, role) = match rest.split_once(':') {
            None => (rest, Role::Producer),
            Some((secret, role)) => (secret, role.parse().map_err(|reason| anyhow!("{variable}: {reason}"))?),
        };
        Ok(AwsKey { id: id.to_owned(), secret: secret.to_owned(), role })
    };
    given.split(',').filter(|entry| !entry.trim().is_empty()).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(callers: Callers) -> Vec<(String, String, Role)> {
        callers.aws_keys.into_iter().map(|key| (key.id, key.secret, key.role)).collect()
    }

    fn key(id: &str, secret: &str, role: Role) -> (String, String, Role) {
        (id.to_owned(), secret.to_owned(), role)
    }

    fn in_file(text: &str) -> anyhow::Result<Callers> {
        let aws_keys = aws_keys_in(&text.parse().unwrap())?;
        Callers { aws_keys, ..Callers::default() }.or_from(&|_| None)
    }

    #[test]
    fn aws_keys_come_from_the_file_or_the_environment() {
        let callers = in_file("AK1 = \"s1\"\nAK2 = { secret = \"s2\", role = \"admin\" }\n").unwrap();
        let from_environment =
            |variable: &str| (variable == "MILLSTREAM_AUTH_AWS_KEYS").then(|| "AK3:s/3+=, AK4:s4:analyst".to_owned());
        let replaced = Callers::default().or_from(&from_environment).unwrap();
        assert_eq!(keys(callers), [key("AK1", "s1", Role::Producer), key("AK2", "s2", Role::Admin)]);
        assert_eq!(keys(replaced), [key("AK3", "s/3+=", Role::Producer), key("AK4", "s4", Role::Analyst)]);
    }

    #[test]
    fn a_key_that_is_wrong_is_named_without_its_secret() {
        for bad in
            ["AK = 7", "AK = \"\"", "AK = { secret = \"hidden\" }", "AK = { secret = \"hidden\", role = \"king\" }"]
        {
            let error = format!("{:#}", in_file(bad).err().unwrap());
            assert!(error.contains("auth.aws_keys") && error.contains("AK") && !error.contains("hidden"), "{error}");
        }
    }
}
