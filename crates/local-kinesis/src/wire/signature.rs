//! Signatures of requests (AWS Signature Version 4): who has a key's secret signs, and here the same is computed again.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format as DateFormat;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;

use super::error::ApiError;
use super::header;
use super::settings::AccessKey;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "kinesis";
const DATE: &str = "x-amz-date";
/// What a signature is worth nothing without: anybody could change it.
const SIGNED_ALWAYS: [&str; 3] = ["host", DATE, "x-amz-target"];
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
    if !is_same(&authorization.sign(key, head, body, time)?, authorization.signature) {
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
        let missing = SIGNED_ALWAYS.iter().find(|name| !authorization.signed_headers.contains(name));
        match missing {
            None => Ok(authorization),
            Some(name) => Err(invalid(&format!("the header {name} must be signed"))),
        }
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
    fn sign(&self, key: &AccessKey, head: &Parts, body: &[u8], time: SystemTime) -> Result<String, ApiError> {
        let unusable = |error: String| incomplete(&format!("the request cannot be signed: {error}"));
        let identity = Credentials::new(&key.id, &key.secret, None, None, "millstream").into();
        let mut settings = SigningSettings::default();
        // Exactly those that the client chose.
        settings.excluded_headers = None;
        let [_, region, service] = self.scope;
        let parameters = SigningParams::builder().identity(&identity).region(region).name(service).time(time);
        let parameters = parameters.settings(settings).build().map_err(|error| unusable(error.to_string()))?.into();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = SignableRequest::new(
            head.method.as_str(),
            format!("http://localhost{path}"),
            self.headers(head).into_iter(),
            SignableBody::Bytes(body),
        );
        let request = request.map_err(|error| unusable(error.to_string()))?;
        let signed = sign(request, &parameters).map_err(|error| unusable(error.to_string()))?;
        Ok(signed.into_parts().1)
    }

    /// The headers that were signed. HTTP/2 has the host elsewhere.
    fn headers<'b>(&self, head: &'b Parts) -> Vec<(&'b str, &'b str)>
    where
        'a: 'b,
    {
        let authority = head.uri.authority().map(|authority| authority.as_str());
        let host = authority.filter(|_| !head.headers.contains_key(HOST)).map(|authority| ("host", authority));
        let text = |value: &'b axum::http::HeaderValue| value.to_str().unwrap_or_default();
        let all = head.headers.iter().map(|(name, value)| (name.as_str(), text(value)));
        all.filter(|(name, _)| self.signed_headers.contains(name)).chain(host).collect()
    }
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
