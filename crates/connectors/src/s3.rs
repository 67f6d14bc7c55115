//! S3, or a server that speaks its API: one bucket as an object store.
//!
//! Region, endpoint and credentials are read as for `kinesis`: what works for one works for the other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::config::{ProvideCredentials, SharedCredentialsProvider};
use millstream_core::{OptionError, OptionReader};
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use object_store::{ClientOptions, CredentialProvider, RetryConfig};

use crate::aws::AwsAccess;
use crate::aws::faults::shortened;
use crate::context::AwsSettings;

/// Of one request with its whole answer: 1 GiB at 30 Mbit/s.
const TIMEOUT: Duration = Duration::from_mins(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Whoever calls tries again by itself, later: an outage is reported soon.
const RETRIES_MAX: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);

/// How S3 is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct S3Access(AwsAccess);

impl S3Access {
    /// What a table's options say, and for the rest what is configured.
    pub(crate) fn read(options: &OptionReader<'_>, aws: &AwsSettings) -> Result<Self, OptionError> {
        AwsAccess::read(options, aws, None).map(Self)
    }

    /// One bucket. No call is made yet.
    pub(crate) async fn bucket(&self, bucket: &str) -> object_store::Result<AmazonS3> {
        let client = ClientOptions::new().with_timeout(TIMEOUT).with_connect_timeout(CONNECT_TIMEOUT);
        let retry = RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&self.0.region)
            .with_client_options(client)
            .with_retry(retry);
        if let Some(endpoint) = &self.0.endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        let credentials = self.0.config(TIMEOUT).await.credentials_provider();
        builder.with_credentials(Arc::new(SdkCredentials(credentials))).build()
    }
}

/// The SDK's provider, asked at each request: such requests are rare here.
#[derive(Debug)]
struct SdkCredentials(Option<SharedCredentialsProvider>);

#[async_trait]
impl CredentialProvider for SdkCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        const REMEDY: &str =
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role";
        let missing = |reason: String| object_store::Error::Unauthenticated {
            path: String::new(),
            source: format!("no AWS credentials ({reason}): {REMEDY}").into(),
        };
        let Some(provider) = &self.0 else { return Err(missing("none are configured".to_owned())) };
        let found = provider.provide_credentials().await.map_err(|error| missing(error.to_string()))?;
        Ok(Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(ToOwned::to_owned),
        }))
    }
}

/// The code and the message of S3's XML, or the text as it is.
pub(crate) fn reason(text: &str) -> String {
    let tag = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(inner, _)| inner)
    };
    let reason = match (tag("Code"), tag("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => text.to_owned(),
    };
    shortened(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_answer_is_told_by_its_code() {
        let text = "Client error with status 403: <?xml?><Error><Code>AccessDenied</Code><Message>No</Message></Error>";
        assert_eq!(reason(text), "AccessDenied: No");
        assert_eq!(reason("connection refused"), "connection refused");
        assert_eq!(reason(&"é".repeat(300)).len(), 503);
    }
}
