//! How commands reach AWS: by flags, then by the environment.

use millstream_connectors::{AccessKey, AwsSettings};

/// An endpoint of one's own wants requests that are signed, and does not care by whom: where no key is known one is made
/// up. For AWS it is the SDK that finds one.
pub(crate) fn settings(endpoint: Option<&str>, region: Option<&str>) -> AwsSettings {
    read(endpoint, region, &|variable| std::env::var(variable).ok())
}

fn read(endpoint: Option<&str>, region: Option<&str>, environment: &dyn Fn(&str) -> Option<String>) -> AwsSettings {
    let is_known = ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"].iter().any(|variable| environment(variable).is_some());
    let made_up = || AccessKey { id: "millstream".to_owned(), secret: "millstream".to_owned() };
    AwsSettings {
        region: region.map(ToOwned::to_owned).or_else(|| environment("AWS_DEFAULT_REGION")),
        access_key: endpoint.filter(|_| !is_known).map(|_| made_up()),
        endpoint_url: endpoint.map(ToOwned::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_up_for_an_endpoint_only_and_only_where_none_is_known() {
        let known = |variable: &str| (variable == "AWS_PROFILE").then(|| "me".to_owned());
        let here = Some("http://127.0.0.1:8080");
        assert!(read(here, None, &|_| None).access_key.is_some());
        assert!(read(here, None, &known).access_key.is_none());
        assert!(read(None, None, &|_| None).access_key.is_none());
    }
}
