//! Whose requests they are: the options `aws.credentials.*` of a table, with the names Flink's connectors give them.

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{ConfigLoader, Region, SdkConfig};
use aws_sdk_kinesis::config::{Credentials as Keys, SharedCredentialsProvider};
use millstream_core::{OptionError, OptionReader};

use super::address;
use crate::context::{AccessKey, AwsSettings};

const PROVIDER: &str = "aws.credentials.provider";
const KEY_ID: &str = "aws.credentials.basic.accesskeyid";
const SECRET_KEY: &str = "aws.credentials.basic.secretkey";
const PROFILE: &str = "aws.credentials.profile.name";
const ROLE_ARN: &str = "aws.credentials.role.arn";
const ROLE_SESSION: &str = "aws.credentials.role.sessionName";
const ROLE_EXTERNAL_ID: &str = "aws.credentials.role.externalId";
const ROLE_STS: &str = "aws.credentials.role.stsEndpoint";
/// How a session is named where nobody named it: it is seen in AWS's logs.
const SESSION_NAME: &str = "millstream";

/// Where credentials come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    Own(Keep),
    /// A role, assumed with credentials of our own.
    Role {
        role: Role,
        with: Keep,
    },
}

/// Credentials that are kept somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// The SDK's default chain: environment, profile, web identity, container, instance.
    Chain,
    Environment,
    Profile(String),
    Given(AccessKey),
}

/// A role and how it is assumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Role {
    arn: String,
    session_name: String,
    external_id: Option<String>,
    /// Where STS is; without one the SDK knows it.
    sts_endpoint: Option<String>,
}

impl Credentials {
    /// What the options say. Without any it is what is configured, and without that the SDK's chain.
    pub(super) fn read(options: &OptionReader<'_>, aws: &AwsSettings) -> Result<Self, OptionError> {
        // All are asked for, so that one without its provider is not taken for a misspelt option.
        let given = given_key(options)?;
        let profile = options.get(PROFILE);
        let role = role(options, aws)?;
        let implied = match (&role, &given, profile) {
            (Some(_), ..) => "ASSUME_ROLE",
            (None, Some(_), _) => "BASIC",
            (None, None, Some(_)) => "PROFILE",
            (None, None, None) => "AUTO",
        };
        let provider = options.one_of(PROVIDER, &["AUTO", "BASIC", "ENV_VAR", "PROFILE", "ASSUME_ROLE"])?;
        let provider = provider.unwrap_or(implied);
        let unused = |key: &str, of: &str| {
            Err(OptionError::new(key, format!("is for '{PROVIDER}' = '{of}', which is '{provider}' here")))
        };
        if provider != "ASSUME_ROLE" && role.is_some() {
            return unused(ROLE_ARN, "ASSUME_ROLE");
        }
        // A role may be assumed with keys or a profile of one's own.
        if given.is_some() && !matches!(provider, "BASIC" | "ASSUME_ROLE") {
            return unused(KEY_ID, "BASIC");
        }
        if profile.is_some() && !matches!(provider, "PROFILE" | "ASSUME_ROLE") {
            return unused(PROFILE, "PROFILE");
        }
        let required = |key: &str| OptionError::new(key, format!("is required with '{PROVIDER}' = '{provider}'"));
        let configured = || aws.access_key.clone().map_or(Keep::Chain, Keep::Given);
        match provider {
            "BASIC" => Ok(Self::Own(Keep::Given(given.ok_or_else(|| required(KEY_ID))?))),
            "PROFILE" => Ok(Self::Own(Keep::Profile(profile.ok_or_else(|| required(PROFILE))?.to_owned()))),
            "ENV_VAR" => Ok(Self::Own(Keep::Environment)),
            "ASSUME_ROLE" => {
                let role = role.ok_or_else(|| required(ROLE_ARN))?;
                let with = match (given, profile) {
                    (Some(key), _) => Keep::Given(key),
                    (None, Some(profile)) => Keep::Profile(profile.to_owned()),
                    (None, None) => configured(),
                };
                Ok(Self::Role { role, with })
            }
            _ => Ok(Self::Own(configured())),
        }
    }

    /// The configuration with these credentials.
    pub(super) async fn load(&self, base: ConfigLoader) -> SdkConfig {
        match self {
            Self::Own(keep) => keep.load(base).await,
            Self::Role { role, with } => role.assume(with.load(base).await).await,
        }
    }
}

impl Keep {
    async fn load(&self, base: ConfigLoader) -> SdkConfig {
        match self {
            Self::Chain => base.load().await,
            Self::Environment => base.credentials_provider(EnvironmentVariableCredentialsProvider::new()).load().await,
            Self::Given(key) => {
                base.credentials_provider(Keys::new(&key.id, &key.secret, None, None, "configured")).load().await
            }
            Self::Profile(name) => {
                let config = base.load().await;
                let region = config.region().map(|region| Region::new(region.to_string()));
                let mut provider = ProviderConfig::default().with_region(region);
                if let Some(http) = config.http_client() {
                    provider = provider.with_http_client(http);
                }
                let profile = ProfileFileCredentialsProvider::builder().configure(&provider).profile_name(name).build();
                config.into_builder().credentials_provider(SharedCredentialsProvider::new(profile)).build()
            }
        }
    }
}

impl Role {
    async fn assume(&self, with: SdkConfig) -> SdkConfig {
        let mut sts = with.to_builder();
        sts.set_endpoint_url(self.sts_endpoint.clone());
        let mut role = AssumeRoleProvider::builder(&self.arn).session_name(&self.session_name).configure(&sts.build());
        if let Some(external_id) = &self.external_id {
            role = role.external_id(external_id);
        }
        let role = SharedCredentialsProvider::new(role.build().await);
        with.into_builder().credentials_provider(role).build()
    }
}

fn given_key(options: &OptionReader<'_>) -> Result<Option<AccessKey>, OptionError> {
    let alone = |key: &str, other: &str| Err(OptionError::new(key, format!("needs '{other}' beside it")));
    match (options.get(KEY_ID), options.get(SECRET_KEY)) {
        (Some(id), Some(secret)) => Ok(Some(AccessKey { id: id.to_owned(), secret: secret.to_owned() })),
        (Some(_), None) => alone(KEY_ID, SECRET_KEY),
        (None, Some(_)) => alone(SECRET_KEY, KEY_ID),
        (None, None) => Ok(None),
    }
}

/// The role. An emulator that is configured for all of AWS has STS, too; a table's own endpoint is that of its service.
fn role(options: &OptionReader<'_>, aws: &AwsSettings) -> Result<Option<Role>, OptionError> {
    let session_name = options.get(ROLE_SESSION);
    let external_id = options.get(ROLE_EXTERNAL_ID);
    let sts_endpoint = address(options, ROLE_STS)?;
    let Some(arn) = options.get(ROLE_ARN) else {
        let parts = [(ROLE_SESSION, session_name), (ROLE_EXTERNAL_ID, external_id), (ROLE_STS, sts_endpoint)];
        return match parts.iter().find(|(_, given)| given.is_some()) {
            Some((key, _)) => Err(OptionError::new(key, format!("needs '{ROLE_ARN}' beside it"))),
            None => Ok(None),
        };
    };
    if !arn.starts_with("arn:") || !arn.contains(":role/") {
        let message = format!("`{arn}` is no ARN of a role; expected arn:aws:iam::<account>:role/<name>");
        return Err(OptionError::new(ROLE_ARN, message));
    }
    Ok(Some(Role {
        arn: arn.to_owned(),
        session_name: session_name.unwrap_or(SESSION_NAME).to_owned(),
        external_id: external_id.map(ToOwned::to_owned),
        sts_endpoint: sts_endpoint.or(aws.endpoint_url.as_deref()).map(ToOwned::to_owned),
    }))
}

#[cfg(test)]
mod tests {
    use millstream_core::Options;

    use super::*;

    const ARN: (&str, &str) = (ROLE_ARN, "arn:aws:iam::123456789012:role/reader");

    fn read(pairs: &[(&str, &str)]) -> Result<Credentials, OptionError> {
        let options: Options = pairs.iter().copied().collect();
        let reader = options.reader();
        let read = Credentials::read(&reader, &AwsSettings::default())?;
        reader.finish().map(|()| read)
    }

    #[test]
    fn what_is_given_says_where_credentials_come_from() {
        let key = AccessKey { id: "id".into(), secret: "s".into() };
        let role = |with| Credentials::Role {
            role: Role { arn: ARN.1.into(), session_name: "millstream".into(), external_id: None, sts_endpoint: None },
            with,
        };
        let basic = [(KEY_ID, "id"), (SECRET_KEY, "s")];
        for (given, expected) in [
            (vec![], Credentials::Own(Keep::Chain)),
            (vec![(PROVIDER, "auto")], Credentials::Own(Keep::Chain)),
            (vec![(PROVIDER, "ENV_VAR")], Credentials::Own(Keep::Environment)),
            (vec![(PROFILE, "p")], Credentials::Own(Keep::Profile("p".into()))),
            (basic.to_vec(), Credentials::Own(Keep::Given(key.clone()))),
            (vec![ARN], role(Keep::Chain)),
            (vec![ARN, basic[0], basic[1]], role(Keep::Given(key))),
            (vec![ARN, (PROFILE, "p")], role(Keep::Profile("p".into()))),
        ] {
            assert_eq!(read(&given), Ok(expected), "{given:?}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        for (given, key) in [
            (vec![(PROVIDER, "CUSTOM")], PROVIDER),
            (vec![(PROVIDER, "BASIC")], KEY_ID),
            (vec![(PROVIDER, "ASSUME_ROLE")], ROLE_ARN),
            (vec![(PROVIDER, "PROFILE")], PROFILE),
            (vec![(KEY_ID, "id")], KEY_ID),
            (vec![(SECRET_KEY, "s")], SECRET_KEY),
            (vec![(ROLE_EXTERNAL_ID, "x")], ROLE_EXTERNAL_ID),
            (vec![(PROVIDER, "AUTO"), ARN], ROLE_ARN),
            (vec![(PROVIDER, "ENV_VAR"), (PROFILE, "p")], PROFILE),
            (vec![(ROLE_ARN, "reader")], ROLE_ARN),
            (vec![ARN, (ROLE_STS, "sts")], ROLE_STS),
        ] {
            let error = read(&given).unwrap_err();
            assert_eq!(error.key, key, "{error}");
            assert!(!error.message.contains('\n') && error.message.len() > 10, "{error}");
        }
    }

    #[test]
    fn a_configured_endpoint_is_that_of_sts_too() {
        let options: Options = [ARN, ("aws.endpoint", "http://kinesis")].into_iter().collect();
        let sts = |aws: AwsSettings| match Credentials::read(&options.reader(), &aws).unwrap() {
            Credentials::Role { role, .. } => role.sts_endpoint,
            Credentials::Own(_) => None,
        };
        assert_eq!(sts(AwsSettings::default()), None);
        let emulator = AwsSettings { endpoint_url: Some("http://emulator".into()), ..AwsSettings::default() };
        assert_eq!(sts(emulator).as_deref(), Some("http://emulator"));
    }
}
