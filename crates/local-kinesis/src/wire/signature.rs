//! Signatures of requests (AWS Signature Version 4): who has a key's secret signs, and here the same is computed again.

use std::time::SystemTime;

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format as DateFormat;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use sha2::{Digest, Sha256};

use super::error::ApiError;
use super::header;
use super::settings::AccessKey;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "kinesis";
const DATE: &str = "x-amz-date";
/// What a signature is worth nothing without: anybody could change it.
const SIGNED_ALWAYS: [&str; 2] = [DATE, "x-amz-target"];
/// And one of these: the SDK for JavaScript signs the latter over HTTP/2.
const HOST: [&str; 2] = ["host", ":authority"];
/// How far clocks may be apart: AWS's rule.
const SKEW_SECONDS_MAX: i64 = 15 * 60;

/// What the header `Authorization` says.
struct Authorization<'a> {
    key: &'a str,
    /// Date, region, service.
    scope: [&'a str; 3],
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

/// Whether the request was signed with one of the keys, all of it and not long ago, and by somebody who may.
pub(super) fn verify(keys: &[AccessKey], head: &Parts, body: &[u8], now_ms: i64) -> Result<(), ApiError> {
    let authorization = Authorization::read(header(head, AUTHORIZATION.as_str()))?;
    let key = keys.iter().find(|key| key.id == authorization.key);
    let key = key.ok_or_else(|| {
        ApiError::caller("UnrecognizedClientException", "The security token included in the request is invalid.")
    })?;
    let time = authorization.time(header(head, DATE), now_ms)?;
    if !is_same(&authorization.sign(key, head, body, time), authorization.signature) {
        let message = "The request signature we calculated does not match the signature you provided. Check your AWS \
                       Secret Access Key and signing method. Consult the service documentation for details.";
        return Err(invalid(message));
    }
    if !key.may_use_streams {
        let message = format!("the role of the access key {} may not use the Kinesis API", key.id);
        return Err(ApiError::caller("AccessDeniedException", message));
    }
    Ok(())
}

impl<'a> Authorization<'a> {
    fn read(header: &'a str) -> Result<Self, ApiError> {
        let Some(parameters) = header.strip_prefix(ALGORITHM) else {
            return Err(ApiError::caller("MissingAuthenticationTokenException", "Missing Authentication Token"));
        };
        let parameter = |name: &str| {
            let mut all = parameters.split(',').map(str::trim);
            let found = all.find_map(|parameter| parameter.strip_prefix(name)?.strip_prefix('='));
            found.ok_or_else(|| incomplete(&format!("Authorization header requires '{name}' parameter.")))
        };
        let scope = "Credential must be <key>/<date>/<region>/kinesis/aws4_request.";
        // The id of a key may hold slashes.
        let parts: Vec<&str> = parameter("Credential")?.rsplitn(5, '/').collect();
        let [_, SERVICE, region, date, key] = parts[..] else { return Err(incomplete(scope)) };
        let authorization = Self {
            key,
            scope: [date, region, SERVICE],
            signed_headers: parameter("SignedHeaders")?.split(';').collect(),
            signature: parameter("Signature")?,
        };
        let is_signed = |name: &&str| authorization.signed_headers.contains(name);
        if let Some(name) = SIGNED_ALWAYS.iter().find(|name| !is_signed(name)) {
            return Err(invalid(&format!("the header {name} must be signed")));
        }
        if !HOST.iter().any(is_signed) {
            return Err(invalid("the header host must be signed"));
        }
        Ok(authorization)
    }

    /// When it was signed, if that was about now.
    fn time(&self, date: &str, now_ms: i64) -> Result<SystemTime, ApiError> {
        let malformed = || incomplete("the header x-amz-date must be a time such as 20260101T000000Z.");
        let time = parse(date).ok_or_else(malformed)?;
        if !date.starts_with(self.scope[0]) {
            return Err(invalid("the date of Credential is not that of x-amz-date"));
        }
        let now = now_ms.div_euclid(1000);
        let (earliest, latest) = (now - SKEW_SECONDS_MAX, now + SKEW_SECONDS_MAX);
        if time.secs() < earliest {
            let limit = format!("{} ({} - 15 min.)", print(earliest), print(now));
            return Err(invalid(&format!("Signature expired: {date} is now earlier than {limit}")));
        }
        if time.secs() > latest {
            let limit = format!("{} ({} + 15 min.)", print(latest), print(now));
            return Err(invalid(&format!("Signature not yet current: {date} is still later than {limit}")));
        }
        SystemTime::try_from(time).map_err(|_| malformed())
    }

    /// The signature that this request ought to have.
    fn sign(&self, key: &AccessKey, head: &Parts, body: &[u8], time: SystemTime) -> String {
        let [date, region, service] = self.scope;
        let request = sha256(self.canonical(head, body).as_bytes());
        let (time_text, scope) = (header(head, DATE), format!("{date}/{region}/{service}/aws4_request"));
        let text = format!("{ALGORITHM}\n{time_text}\n{scope}\n{request}");
        calculate_signature(generate_signing_key(&key.secret, time, region, service), text.as_bytes())
    }

    /// The request in the form that is signed. The path is `/`, which needs no escapes.
    fn canonical(&self, head: &Parts, body: &[u8]) -> String {
        let mut query: Vec<&str> = head.uri.query().unwrap_or_default().split('&').collect();
        query.sort_unstable();
        let mut headers = String::new();
        for name in &self.signed_headers {
            headers.extend([*name, ":", &canonical_value(head, name), "\n"]);
        }
        let (method, path, query) = (head.method.as_str(), head.uri.path(), query.join("&"));
        format!("{method}\n{path}\n{query}\n{headers}\n{}\n{}", self.signed_headers.join(";"), sha256(body))
    }
}

/// A header's values, each without spaces around it and with single ones within. HTTP/2 has the host elsewhere.
fn canonical_value(head: &Parts, name: &str) -> String {
    let trimmed = |value: &str| value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let values: Vec<String> =
        head.headers.get_all(name).iter().map(|value| trimmed(value.to_str().unwrap_or_default())).collect();
    match head.uri.authority() {
        Some(authority) if values.is_empty() && HOST.contains(&name) => authority.to_string(),
        _ => values.join(","),
    }
}

fn sha256(bytes: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let (high, low) = digest.split_at(16);
    let number = |bytes: &[u8]| bytes.iter().fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
    format!("{:032x}{:032x}", number(high), number(low))
}

fn invalid(message: &str) -> ApiError {
    ApiError::caller("InvalidSignatureException", message)
}

fn incomplete(message: &str) -> ApiError {
    ApiError::caller("IncompleteSignatureException", message)
}

/// `20260101T000000Z`.
fn parse(date: &str) -> Option<DateTime> {
    let part = |from, to| date.get(from..to);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(9, 11)?, part(11, 13)?, part(13, 15)?);
    let is_shaped = date.len() == 16 && part(8, 9) == Some("T") && part(15, 16) == Some("Z");
    let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    is_shaped.then(|| DateTime::from_str(&text, DateFormat::DateTime).ok())?
}

fn print(seconds: i64) -> String {
    let text = DateTime::from_secs(seconds).fmt(DateFormat::DateTime).unwrap_or_default();
    text.replace(['-', ':'], "")
}

/// Compares without stopping at the first difference.
fn is_same(known: &str, given: &str) -> bool {
    let difference = known.bytes().zip(given.bytes()).fold(0, |found, (a, b)| found | (a ^ b));
    difference == 0 && known.len() == given.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        assert_eq!(print(1_767_225_600), "20260101T000000Z");
        assert_eq!(parse("20260101T000000Z").map(|time| time.secs()), Some(1_767_225_600));
        for bad in ["", "2026", "2026-01-01T00:00:00Z", "20260101T000000", "20261301T000000Z", "20260101 000000Z"] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
