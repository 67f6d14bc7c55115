//! The configuration: flags before environment before file, and nothing unknown.
//!
//! Every key of `millstream.toml` has an environment variable: `aws.region` is `MILLSTREAM_AWS_REGION`. Keys are read
//! the way tables' options are, so a misspelt one is refused with the nearest known one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use millstream_connectors::AwsSettings;
use millstream_core::{Duration, Options};

use crate::callers::{AwsKey, Callers, Token};
use crate::cli::ServeFlags;
use crate::{callers, usage};

const DEFAULT_FILE: &str = "millstream.toml";
const DEFAULT_DATA: &str = "millstream-data";
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
const PREFIX: &str = "MILLSTREAM_";
/// Keys that the environment may give, under [`PREFIX`], in upper case with `_` for the dots.
const KEYS: [&str; 13] = [
    "data",
    "queries",
    "listen",
    "workers",
    "insecure",
    "memory.limit",
    "aws.region",
    "aws.endpoint_url",
    "checkpoints.dir",
    "checkpoints.shared_dir",
    "checkpoints.interval",
    "checkpoints.retained",
    "kinesis.enforce_limits",
];
/// How often the state of a query is kept, unless something else is said.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(10);
/// How many checkpoints of a query are kept.
const CHECKPOINTS_RETAINED: usize = 3;
/// State takes this part of the machine's memory, unless something else is said: batches on their way, answers and plans
/// need some too.
const MEMORY_PERCENT: u64 = 60;
/// Worker threads beyond this only take memory.
const MAX_WORKERS: usize = 256;

/// What the service runs with.
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) queries: Option<PathBuf>,
    pub(crate) listen: SocketAddr,
    pub(crate) workers: usize,
    /// Bytes of memory that state may take.
    pub(crate) memory_limit: u64,
    pub(crate) aws: AwsSettings,
    pub(crate) checkpoints: CheckpointConfig,
    pub(crate) tokens: Vec<Token>,
    pub(crate) aws_keys: Vec<AwsKey>,
    /// Whether the Kinesis API has AWS's rates.
    pub(crate) enforce_limits: bool,
}

/// Where checkpoints are kept, and how often they are taken.
#[derive(Clone)]
pub(crate) struct CheckpointConfig {
    /// A folder or `s3://bucket/prefix`; `None`: in the data folder.
    pub(crate) dir: Option<String>,
    /// The same for queries that processes share; `None`: there are none.
    pub(crate) shared_dir: Option<String>,
    pub(crate) interval: Duration,
    pub(crate) retained: usize,
}

/// Reads what the flags, the environment and the file say.
pub(crate) fn load(flags: &ServeFlags) -> anyhow::Result<Config> {
    let file = match &flags.config {
        Some(file) => Some(file.clone()),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|file| file.exists()),
    };
    let text = match &file {
        Some(file) => {
            let read = std::fs::read_to_string(file);
            read.with_context(|| format!("the configuration {} cannot be read", file.display()))?
        }
        None => String::new(),
    };
    let name = file.map_or("the configuration".to_owned(), |file| file.display().to_string());
    for variable in std::env::vars().map(|(variable, _)| variable).filter(|variable| is_unknown(variable)) {
        tracing::warn!("{variable} is set and means nothing here; look for a misspelt word");
    }
    resolve(flags, &name, &text, &|variable| std::env::var(variable).ok())
}

/// The same, of what was read.
fn resolve(
    flags: &ServeFlags,
    name: &str,
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> anyhow::Result<Config> {
    let table: toml::Table = text.parse().map_err(|error| anyhow!("{name}: {error}"))?;
    let mut values = BTreeMap::new();
    let mut callers = Callers::default();
    flatten("", &table, &mut values, &mut callers).with_context(|| name.to_owned())?;
    for key in KEYS {
        let variable = variable_of(key);
        if let Some(value) = environment(&variable) {
            values.insert(key.to_owned(), value);
        }
    }
    let Callers { tokens, aws_keys } = callers.or_from(environment).with_context(|| name.to_owned())?;
    let values: Options = values.into_iter().collect();
    let reader = values.reader();
    let wrong = |error: millstream_core::OptionError| anyhow!("{name}: {error}");
    let config = Config {
        data: {
            let given = reader.get("data").map(PathBuf::from);
            flags.data.clone().or(given).unwrap_or_else(|| DEFAULT_DATA.into())
        },
        queries: reader.get("queries").map(PathBuf::from),
        listen: {
            let given = reader.parse("listen", "an address and a port such as 127.0.0.1:8080").map_err(wrong)?;
            let default = || DEFAULT_LISTEN.parse().context("the default address");
            flags.listen.or(given).map_or_else(default, Ok)?
        },
        workers: {
            let given = reader.parse("workers", "a number of threads").map_err(wrong)?;
            workers(flags.workers.or(given))?
        },
        memory_limit: memory_limit(reader.bytes("memory.limit").map_err(wrong)?),
        aws: AwsSettings {
            region: first_of(reader.get("aws.region"), &["AWS_REGION", "AWS_DEFAULT_REGION"], environment),
            endpoint_url: first_of(reader.get("aws.endpoint_url"), &["AWS_ENDPOINT_URL"], environment),
            ..AwsSettings::default()
        },
        checkpoints: CheckpointConfig {
            dir: reader.get("checkpoints.dir").map(ToOwned::to_owned),
            shared_dir: reader.get("checkpoints.shared_dir").map(ToOwned::to_owned),
            interval: reader.duration("checkpoints.interval").map_err(wrong)?.unwrap_or(CHECKPOINT_INTERVAL),
            retained: {
                let given = reader.parse("checkpoints.retained", "a number of checkpoints").map_err(wrong)?;
                given.unwrap_or(CHECKPOINTS_RETAINED)
            },
        },
        enforce_limits: reader.flag("kinesis.enforce_limits", false).map_err(wrong)?,
        tokens,
        aws_keys,
    };
    let insecure = flags.insecure | reader.flag("insecure", false).map_err(wrong)?;
    reader.finish().map_err(wrong)?;
    if !config.listen.ip().is_loopback() && config.tokens.is_empty() && !insecure {
        bail!(
            "listening on {} lets everybody on the network in: configure [auth] tokens, listen on 127.0.0.1, or say \
             --insecure",
            config.listen
        );
    }
    Ok(Config { queries: flags.queries.clone().or(config.queries), ..config })
}

/// Worker threads: as given, else one for each core.
pub(crate) fn workers(given: Option<usize>) -> anyhow::Result<usize> {
    match given {
        Some(workers @ 1..=MAX_WORKERS) => Ok(workers),
        Some(workers) => bail!("{workers} workers given; expected 1 to {MAX_WORKERS}"),
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
    }
}

/// Bytes of memory for state: as given, else a part of what the machine has.
fn memory_limit(given: Option<u64>) -> u64 {
    given.unwrap_or_else(|| usage::memory_bytes() / 100 * MEMORY_PERCENT)
}

/// The same where there is no configuration file: as the environment says.
pub(crate) fn memory_limit_of_environment() -> anyhow::Result<u64> {
    let variable = variable_of("memory.limit");
    let given: Options = std::env::var(&variable).ok().map(|value| (variable.clone(), value)).into_iter().collect();
    Ok(memory_limit(given.reader().bytes(&variable)?))
}

fn first_of(given: Option<&str>, variables: &[&str], environment: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let from_environment = || variables.iter().find_map(|variable| environment(variable));
    given.map(ToOwned::to_owned).or_else(from_environment).filter(|value| !value.is_empty())
}

/// A variable that looks like one of ours. It is no error: orchestrators set variables of their own making.
fn is_unknown(variable: &str) -> bool {
    const OTHERS: [&str; 5] = [
        "MILLSTREAM_CONFIG",
        "MILLSTREAM_LOG",
        "MILLSTREAM_LOG_FORMAT",
        "MILLSTREAM_AUTH_TOKENS",
        "MILLSTREAM_AUTH_AWS_KEYS",
    ];
    variable.starts_with(PREFIX) && !OTHERS.contains(&variable) && !KEYS.iter().any(|key| variable_of(key) == variable)
}

pub(crate) fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "_"))
}

/// Sections become dotted keys; tokens and AWS keys are taken out.
fn flatten(
    section: &str,
    table: &toml::Table,
    values: &mut BTreeMap<String, String>,
    callers: &mut Callers,
) -> anyhow::Result<()> {
    for (key, value) in table {
        let key = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
        match value {
            _ if key == "auth.tokens" => callers.tokens = value.clone().try_into().context("auth.tokens")?,
            toml::Value::Table(keys) if key == "auth.aws_keys" => callers.aws_keys = callers::aws_keys_in(keys)?,
            toml::Value::Table(inner) => flatten(&key, inner, values, callers)?,
            toml::Value::String(text) => drop(values.insert(key, text.clone())),
            toml::Value::Integer(_) | toml::Value::Boolean(_) => drop(values.insert(key, value.to_string())),
            other => bail!("{key}: a {} given, expected a text, a number, or true or false", other.type_str()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Role;

    fn resolved(text: &str, flags: &ServeFlags, environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment: BTreeMap<_, _> = environment.iter().copied().collect();
        let lookup = |variable: &str| environment.get(variable).map(|&value| value.to_owned());
        resolve(flags, "millstream.toml", text, &lookup).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn flags_come_before_the_environment_and_that_before_the_file() {
        let text = "data = \"f\"\nqueries = \"f\"\nworkers = 3\nlisten = \"127.0.0.1:1\"\n[aws]\nregion = \"f\"\n";
        let flags = ServeFlags { data: Some("flag".into()), ..ServeFlags::default() };
        let environment = [("MILLSTREAM_DATA", "env"), ("MILLSTREAM_QUERIES", "env"), ("MILLSTREAM_AWS_REGION", "env")];
        let config = resolved(text, &flags, &environment).unwrap();
        assert_eq!((config.data, config.queries), (PathBuf::from("flag"), Some(PathBuf::from("env"))));
        assert_eq!((config.workers, config.listen.port()), (3, 1));
        assert!(config.memory_limit > 0, "a part of the machine's");
        let limited = resolved("[memory]\nlimit = \"2 GB\"", &flags, &[("MILLSTREAM_MEMORY_LIMIT", "4 mb")]).unwrap();
        assert_eq!(limited.memory_limit, resolved("[memory]\nlimit = \"4 MB\"", &flags, &[]).unwrap().memory_limit);
        assert_eq!(config.aws.region.as_deref(), Some("env"));
        let aws = resolved("", &flags, &[("AWS_DEFAULT_REGION", "eu-central-1")]).unwrap().aws;
        assert_eq!((aws.region.as_deref(), aws.endpoint_url), (Some("eu-central-1"), None));
    }

    #[test]
    fn tokens_come_from_the_file_or_the_environment() {
        let text = "[[auth.tokens]]\ntoken = \"a\"\nrole = \"analyst\"\n";
        let config = resolved(text, &ServeFlags::default(), &[]).unwrap();
        assert!(matches!(&config.tokens[..], [Token { token, role: Role::Analyst }] if token == "a"));
        let environment = [("MILLSTREAM_AUTH_TOKENS", "x:y:admin, p:producer")];
        let config = resolved(text, &ServeFlags::default(), &environment).unwrap();
        assert_eq!(config.tokens[0].token, "x:y");
        assert_eq!(config.tokens.len(), 2);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        for (text, expected) in [
            ("lisen = \"x\"", "option 'lisen': is unknown here; the nearest known option is 'listen'"),
            ("[aws]\nregoin = \"x\"", "option 'aws.regoin': is unknown here; the nearest known option is 'aws.region'"),
            ("[sever]\nport = 1", "option 'sever.port': is unknown here"),
            ("listen = \"here\"", "option 'listen': `here` given, expected an address and a port"),
            ("workers = 0", "0 workers given; expected 1 to 256"),
            ("workers = \"many\"", "option 'workers': `many` given, expected a number of threads"),
            ("[memory]\nlimit = \"much\"", "option 'memory.limit': `much` is no size"),
            ("data = 1.5", "data: a float given"),
            ("data = ", "TOML parse error at line 1"),
            ("listen = \"0.0.0.0:80\"", "lets everybody on the network in"),
            ("[[auth.tokens]]\ntoken = \"a\"\nrole = \"king\"", "unknown variant `king`"),
            ("[[auth.tokens]]\ntoken = \"a\"\nrol = \"admin\"", "unknown field `rol`"),
            ("[[auth.tokens]]\ntoken = \"\"\nrole = \"admin\"", "token 1 is empty"),
        ] {
            let error = resolved(text, &ServeFlags::default(), &[]).err().unwrap();
            assert!(error.starts_with("millstream.toml") || !error.contains("option"), "{text}: {error}");
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn listening_beyond_this_machine_needs_tokens_or_a_word() {
        let text = "listen = \"0.0.0.0:80\"\ninsecure = true";
        assert!(resolved(text, &ServeFlags::default(), &[]).is_ok());
        let flags = ServeFlags { listen: "0.0.0.0:80".parse().ok(), ..ServeFlags::default() };
        assert!(resolved("", &flags, &[]).is_err());
        assert!(resolved("[auth]\ntokens = [{ token = \"a\", role = \"admin\" }]", &flags, &[]).is_ok());
        assert!(resolved("", &ServeFlags { insecure: true, ..flags }, &[]).is_ok());
    }
}
