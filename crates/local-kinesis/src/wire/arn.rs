//! ARNs of streams and consumers: how ours look, and what those of requests name.
//!
//! Region and account of a request's ARN may be any: there is one of each here.

use super::error::ApiError;
use crate::{ConsumerName, Resource, is_stream_name};

/// The account that everything here belongs to.
pub(super) const ACCOUNT: &str = "000000000000";
const REGION: &str = "us-east-1";
const ACCOUNT_DIGITS: usize = 12;

pub(super) fn of_stream(stream: &str) -> String {
    format!("arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{stream}")
}

pub(super) fn of_consumer(stream: &str, name: &str, created_ms: i64) -> String {
    format!("{}/consumer/{name}:{}", of_stream(stream), created_ms.div_euclid(1000))
}

/// The name of a stream in its ARN.
pub(super) fn stream_in(arn: &str) -> Result<&str, ApiError> {
    let name = resource_part(arn).and_then(|resource| resource.strip_prefix("stream/"));
    name.filter(|name| !name.is_empty() && !name.contains(char::is_whitespace)).ok_or_else(|| {
        let rule = "Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+";
        ApiError::constraint(arn, "streamARN", rule)
    })
}

/// The consumer that an ARN names.
pub(super) fn consumer_in(arn: &str) -> Result<ConsumerName, ApiError> {
    consumer(arn).ok_or_else(|| {
        let rule = "Member must satisfy regular expression pattern: ^(arn):aws.*:kinesis:.*:\\d{12}:.*\
                    stream\\/[a-zA-Z0-9_.-]+\\/consumer\\/[a-zA-Z0-9_.-]+:[0-9]+";
        ApiError::constraint(arn, "consumerARN", rule)
    })
}

/// The stream or consumer that an ARN names.
pub(super) fn resource_in(arn: &str) -> Result<Resource, ApiError> {
    if let Some(consumer) = consumer(arn) {
        return Ok(Resource::Consumer(consumer));
    }
    let stream = resource_part(arn).and_then(|resource| resource.strip_prefix("stream/"));
    match stream {
        Some(stream) if is_stream_name(stream) => Ok(Resource::Stream(stream.to_owned())),
        _ => {
            let rule = "Member must satisfy regular expression pattern: \
                        arn:aws.*:kinesis:.*:\\d{12}:.*(stream|channel|queue)/\\S+";
            Err(ApiError::constraint(arn, "resourceARN", rule))
        }
    }
}

fn consumer(arn: &str) -> Option<ConsumerName> {
    let (stream, consumer) = resource_part(arn)?.strip_prefix("stream/")?.split_once("/consumer/")?;
    let (name, created_seconds) = consumer.split_once(':')?;
    (is_stream_name(stream) && is_stream_name(name)).then_some(())?;
    Some(ConsumerName { stream: stream.into(), name: name.into(), created_seconds: created_seconds.parse().ok()? })
}

/// What follows the account.
fn resource_part(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let is_account = |text: &str| text.len() == ACCOUNT_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    match parts[..] {
        ["arn", partition, "kinesis", _, account, resource] if partition.starts_with("aws") && is_account(account) => {
            Some(resource)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        assert_eq!(stream_in(&of_stream("s.1")).unwrap(), "s.1");
        let consumer = ConsumerName { stream: "s".into(), name: "c-1".into(), created_seconds: 1_767_225_600 };
        let arn = of_consumer("s", "c-1", 1_767_225_600_999);
        assert_eq!(consumer_in(&arn).unwrap(), consumer);
        assert_eq!(resource_in(&arn).unwrap(), Resource::Consumer(consumer));
        assert_eq!(resource_in(&of_stream("s")).unwrap(), Resource::Stream("s".into()));
    }

    #[test]
    fn region_partition_and_account_may_be_any() {
        for arn in ["arn:aws-cn:kinesis:cn-north-1:123456789012:stream/s", "arn:aws:kinesis::111122223333:stream/s"] {
            assert_eq!(stream_in(arn).unwrap(), "s");
        }
    }

    #[test]
    fn what_is_no_arn_of_kinesis_is_refused() {
        for arn in
            ["", "s", "arn:aws:s3:::stream/s", "arn:aws:kinesis:r:1:stream/s", "arn:aws:kinesis:r:000000000000:s"]
        {
            assert!(stream_in(arn).is_err() && consumer_in(arn).is_err() && resource_in(arn).is_err(), "{arn}");
        }
        assert!(consumer_in(&of_stream("s")).is_err());
        assert!(consumer_in("arn:aws:kinesis:r:000000000000:stream/s/consumer/c").is_err());
    }
}
