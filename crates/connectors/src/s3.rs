//! S3, or a server that speaks its API: one bucket as an object store.
//!
//! Credentials come from the AWS SDK's default chain, as for `kinesis`: what works for one works for the other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::BehaviorVersion;
use aws_sdk_kinesis::config::{ProvideCredentials, Region, SharedCredentialsProvider};
use aws_smithy_http_client::tls;
use millstream_core::{OptionError, OptionReader};
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use object_store::{ClientOptions, CredentialProvider, RetryConfig};

use crate::context::{AccessKey, AwsSettings};

/// The region to sign for where none is known: emulators do not care.
const DEFAULT_REGION: &str = "us-east-1";
/// Of one request with its whole answer: 1 GiB at 30 Mbit/s.
const TIMEOUT: Duration = Duration::from_mins(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Whoever calls tries again by itself, later: an outage is reported soon.
const RETRIES_MAX: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);
/// More of a server's answer is not shown.
const REASON_BYTES_MAX: usize = 300;

/// How S3 is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct S3Access {
    region: String,
    endpoint: Option<String>,
    access_key: Option<AccessKey>,
}

impl S3Access {
    /// What a table's options say, and for the rest what is configured.
    pub(crate) fn read(options: &OptionReader<'_>, aws: &AwsSettings) -> Result<Self, OptionError> {
        let endpoint = options.get("aws.endpoint").or(aws.endpoint_url.as_deref());
        if let Some(endpoint) = endpoint
            && !endpoint.starts_with("http://")
            && !endpoint.starts_with("https://")
        {
            let message = format!("`{endpoint}` given, expected an address such as http://127.0.0.1:5555");
            return Err(OptionError::new("aws.endpoint", message));
        }
        let region = options.get("aws.region").or(aws.region.as_deref()).unwrap_or(DEFAULT_REGION);
        Ok(Self {
            region: region.to_owned(),
            endpoint: endpoint.map(ToOwned::to_owned),
            access_key: aws.access_key.clone(),
        })
    }

    /// One bucket. No call is made yet.
    pub(crate) async fn bucket(&self, bucket: &str) -> object_store::Result<AmazonS3> {
        let client = ClientOptions::new().with_timeout(TIMEOUT).with_connect_timeout(CONNECT_TIMEOUT);
        let retry = RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&self.region)
            .with_client_options(client)
            .with_retry(retry);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        builder = match &self.access_key {
            Some(key) => builder.with_access_key_id(&key.id).with_secret_access_key(&key.secret),
            None => builder.with_credentials(Arc::new(self.chain().await)),
        };
        builder.build()
    }

    async fn chain(&self) -> SdkCredentials {
        let ring = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
        let http = aws_smithy_http_client::Builder::new().tls_provider(ring).build_https();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .region(Region::new(self.region.clone()))
            .load()
            .await;
        SdkCredentials(config.credentials_provider())
    }
}

/// The SDK's chain, asked at each request: such requests are rare here.
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
    let mut reason = match (tag("Code"), tag("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => text.to_owned(),
    };
    if reason.len() > REASON_BYTES_MAX {
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        reason.push('…');
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_answer_is_told_by_its_code() {
        let text = "Client error with status 403: <?xml?><Error><Code>AccessDenied</Code><Message>No</Message></Error>";
        assert_eq!(reason(text), "AccessDenied: No");
        assert_eq!(reason("connection refused"), "connection refused");
        assert_eq!(reason(&"é".repeat(200)).len(), 303);
    }
}
