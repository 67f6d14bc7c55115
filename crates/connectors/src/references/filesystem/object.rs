//! One object of S3. A reading is of one version: S3 gives whole objects, and asks again only for the same one.

use millstream_core::{OptionError, ReferenceError, Version};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore};

use super::content::{Content, WholeFile};
use crate::s3::{S3Access, reason};

/// An object, and its bucket once it was asked for.
pub(super) struct S3Object {
    access: S3Access,
    bucket: String,
    key: Path,
    store: Option<AmazonS3>,
}

impl S3Object {
    pub(super) fn new(bucket: String, key: &str, access: S3Access) -> Result<Self, OptionError> {
        let parsed = Path::parse(key);
        let key =
            parsed.map_err(|error| OptionError::new("path", format!("`{key}` is no key of an object: {error}")))?;
        Ok(Self { access, bucket, key, store: None })
    }

    /// The whole object; `None` where it is still what `known` says.
    pub(super) async fn read(
        &mut self,
        known: Option<&Version>,
        bytes_max: u64,
    ) -> Result<Option<Content>, ReferenceError> {
        let name = format!("s3://{}/{}", self.bucket, self.key);
        match self.try_read(known, bytes_max, &name).await {
            Ok(content) => Ok(content),
            Err(Failure::Other(error)) => Err(error),
            Err(Failure::Store(object_store::Error::NotModified { .. })) => Ok(None),
            Err(Failure::Store(error)) => Err(self.of_store(&name, &error)),
        }
    }

    async fn try_read(
        &mut self,
        known: Option<&Version>,
        bytes_max: u64,
        name: &str,
    ) -> Result<Option<Content>, Failure> {
        let store = match &self.store {
            Some(store) => store,
            None => self.store.insert(self.access.bucket(&self.bucket).await?),
        };
        let known_tag = known.and_then(e_tag);
        let if_none_match = known_tag.map(ToOwned::to_owned);
        let answer = store.get_opts(&self.key, GetOptions { if_none_match, ..GetOptions::default() }).await?;
        // Not every server looks at the condition.
        if known_tag.is_some() && answer.meta.e_tag.as_deref() == known_tag {
            return Ok(None);
        }
        let total = answer.meta.size;
        if total > bytes_max {
            let reason = format!("it holds {total} bytes, more than {bytes_max}: leave out what no query needs");
            return Err(Failure::Other(ReferenceError::Unusable { what: format!("`{name}`"), reason }));
        }
        let version = version(&answer.meta);
        let files = vec![WholeFile { name: name.to_owned(), bytes: answer.bytes().await? }];
        Ok(Some(match version {
            Some(version) => Content { version, files },
            None => Content::by_hash(files),
        }))
    }

    fn of_store(&self, name: &str, error: &object_store::Error) -> ReferenceError {
        let (what, text) = (format!("`{name}`"), error.to_string());
        let reason = reason(&text);
        match error {
            object_store::Error::NotFound { .. } if text.contains("NoSuchBucket") => {
                let remedy = "option 'path' must name a bucket of the account and region (option 'aws.region') in use";
                ReferenceError::NotFound { what: format!("bucket `{}`", self.bucket), remedy: remedy.to_owned() }
            }
            object_store::Error::NotFound { .. } => {
                let remedy = format!("put it there, or name another object in option 'path' ({reason})");
                ReferenceError::NotFound { what, remedy }
            }
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                let remedy = format!(
                    "the credentials in use need s3:GetObject on it, and s3:ListBucket to be told whether it is there ({reason})"
                );
                ReferenceError::Denied { what, remedy }
            }
            _ => ReferenceError::Failed { what, reason },
        }
    }
}

/// Why there is no content.
enum Failure {
    Store(object_store::Error),
    Other(ReferenceError),
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}

/// `etag="…"`, in buckets that keep versions followed by `;version=…`.
fn version(meta: &ObjectMeta) -> Option<Version> {
    let e_tag = meta.e_tag.as_deref()?;
    Some(Version::from(match &meta.version {
        Some(version) => format!("etag={e_tag};version={version}"),
        None => format!("etag={e_tag}"),
    }))
}

/// The ETag of a version that [`version`] made.
fn e_tag(version: &Version) -> Option<&str> {
    let rest = version.as_str().strip_prefix("etag=")?;
    Some(rest.split_once(";version=").map_or(rest, |(e_tag, _)| e_tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_gives_its_e_tag_back() {
        for (version, expected) in [
            ("etag=\"0a1b-2\"", Some("\"0a1b-2\"")),
            ("etag=\"0a1b\";version=x.y;z", Some("\"0a1b\"")),
            ("sha256=00", None),
        ] {
            assert_eq!(e_tag(&Version::from(version)), expected);
        }
    }
}
