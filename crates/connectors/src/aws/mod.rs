//! How AWS is reached: the region, the endpoint and the credentials of one table, and the SDK's configuration for them.
//!
//! Whatever calls AWS gets its configuration here, and its errors are told apart in [`faults`]. Trying again is never
//! the SDK's: callers know what they may send again, and in which order.

pub(crate) mod credentials;
pub(crate) mod faults;
pub(crate) mod function;
pub(crate) mod shards;

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls;
use millstream_core::{OptionError, OptionReader};

use crate::context::AwsSettings;
use credentials::Credentials;

/// The region to sign for where none is known: emulators do not care.
const DEFAULT_REGION: &str = "us-east-1";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How a table's AWS service is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AwsAccess {
    pub(crate) region: String,
    /// An emulator's address, or that of a VPC endpoint; without one the SDK knows it.
    pub(crate) endpoint: Option<String>,
    credentials: Credentials,
}

impl AwsAccess {
    /// What a table's options say, and for the rest what is configured. `arn_region`: the region of the ARN that the
    /// table names, if it names one.
    pub(crate) fn read(
        options: &OptionReader<'_>,
        aws: &AwsSettings,
        arn_region: Option<&str>,
    ) -> Result<Self, OptionError> {
        let endpoint = address(options, "aws.endpoint")?.or(aws.endpoint_url.as_deref());
        let region = options.get("aws.region").or(arn_region).or(aws.region.as_deref()).unwrap_or(DEFAULT_REGION);
        Ok(Self {
            region: region.to_owned(),
            endpoint: endpoint.map(ToOwned::to_owned),
            credentials: Credentials::read(options, aws)?,
        })
    }

    /// What a client of the SDK is made of; `timeout` is that of one call with its whole answer. No call is made yet,
    /// except for credentials.
    pub(crate) async fn config(&self, timeout: Duration) -> SdkConfig {
        let ring = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
        let http = aws_smithy_http_client::Builder::new().tls_provider(ring).build_https();
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(timeout);
        let region = Region::new(self.region.clone());
        let base = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .region(region)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build());
        // The SDK asks for its credentials in one large future.
        let config = Box::pin(self.credentials.load(base)).await;
        match &self.endpoint {
            Some(endpoint) => config.into_builder().endpoint_url(endpoint).build(),
            None => config,
        }
    }
}

/// The option `key`, which is the address of a server.
fn address<'a>(options: &OptionReader<'a>, key: &str) -> Result<Option<&'a str>, OptionError> {
    match options.get(key) {
        Some(given) if !given.starts_with("http://") && !given.starts_with("https://") => {
            let message = format!("`{given}` given, expected an address such as http://127.0.0.1:5555");
            Err(OptionError::new(key, message))
        }
        given => Ok(given),
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::Options;

    use super::*;

    #[test]
    fn a_table_says_more_than_its_arn_and_its_arn_more_than_the_configuration() {
        let configured = AwsSettings { region: Some("eu-west-1".into()), ..AwsSettings::default() };
        let region = |pairs: &[(&str, &str)], aws: &AwsSettings, arn| {
            let options: Options = pairs.iter().copied().collect();
            AwsAccess::read(&options.reader(), aws, arn).unwrap().region
        };
        let given = [("aws.region", "eu-north-1")];
        assert_eq!(region(&given, &configured, Some("us-west-2")), "eu-north-1");
        assert_eq!(region(&[], &configured, Some("us-west-2")), "us-west-2");
        assert_eq!(region(&[], &configured, None), "eu-west-1");
        assert_eq!(region(&[], &AwsSettings::default(), None), "us-east-1");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let options: Options = [("aws.endpoint", "localhost:4567")].into_iter().collect();
        let error = AwsAccess::read(&options.reader(), &AwsSettings::default(), None).unwrap_err();
        assert_eq!(error.key, "aws.endpoint");
        assert!(error.message.starts_with("`localhost:4567` given, expected an address"), "{error}");
    }
}
