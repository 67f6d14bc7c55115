//! A store below a prefix in a bucket of S3, or of a server that speaks its API with conditional writes.

use futures::TryStreamExt;
use millstream_core::{BoxFuture, CheckpointStore, StoreError};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use tokio::sync::OnceCell;

use super::{parse, parse_object};
use crate::s3::{S3Access, reason};

pub(super) struct Bucket {
    name: String,
    prefix: Path,
    access: S3Access,
    /// Made at the first call.
    store: OnceCell<AmazonS3>,
}

impl Bucket {
    pub(super) fn new(name: String, prefix: Path, access: S3Access) -> Self {
        Self { name, prefix, access, store: OnceCell::new() }
    }

    async fn store(&self, path: &str) -> Result<&AmazonS3, StoreError> {
        let made = self.store.get_or_try_init(|| self.access.bucket(&self.name)).await;
        made.map_err(|error| self.failed(path, &error))
    }

    fn key(&self, path: &Path) -> Path {
        self.prefix.parts().chain(path.parts()).collect()
    }

    fn failed(&self, path: &str, error: &object_store::Error) -> StoreError {
        let text = error.to_string();
        let short = reason(&text);
        let reason = match error {
            // Only some requests are answered with it as an error of its own kind.
            _ if text.contains("NoSuchBucket") => format!(
                "the bucket `{}` does not exist: make it, or name one of the account and region in use",
                self.name
            ),
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => format!(
                "denied: the credentials in use need s3:PutObject, s3:GetObject and s3:DeleteObject below `{}`, and \
                 s3:ListBucket ({short})",
                self.location()
            ),
            _ => short,
        };
        StoreError::Failed { path: format!("s3://{}/{}/{path}", self.name, self.prefix), reason }
    }
}

impl CheckpointStore for Bucket {
    fn create<'a>(&'a self, path: &'a str, bytes: Vec<u8>) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let key = self.key(&parse_object(path)?);
            let put = self.store(path).await?.put_opts(&key, bytes.into(), PutMode::Create.into());
            match put.await {
                Ok(_) => Ok(()),
                Err(object_store::Error::AlreadyExists { .. }) => Err(StoreError::Exists(path.to_owned())),
                Err(error) => Err(self.failed(path, &error)),
            }
        })
    }

    fn read<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Vec<u8>, StoreError>> {
        Box::pin(async move {
            let key = self.key(&parse_object(path)?);
            let store = self.store(path).await?;
            let read = async { store.get(&key).await?.bytes().await };
            match read.await {
                Ok(bytes) => Ok(bytes.into()),
                Err(error) if is_missing(&error) => Err(StoreError::NotFound(path.to_owned())),
                Err(error) => Err(self.failed(path, &error)),
            }
        })
    }

    fn list<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        Box::pin(async move {
            let key = self.key(&parse(folder)?);
            let objects: Result<Vec<_>, _> = self.store(folder).await?.list(Some(&key)).try_collect().await;
            let objects = objects.map_err(|error| self.failed(folder, &error))?;
            let below = |key: &Path| key.prefix_match(&self.prefix).map(|parts| parts.collect::<Path>().to_string());
            let mut paths: Vec<_> = objects.iter().filter_map(|object| below(&object.location)).collect();
            paths.sort();
            Ok(paths)
        })
    }

    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let key = self.key(&parse_object(path)?);
            match self.store(path).await?.delete(&key).await {
                Err(error) if !is_missing(&error) => Err(self.failed(path, &error)),
                _ => Ok(()),
            }
        })
    }

    fn location(&self) -> String {
        format!("s3://{}/{}", self.name, self.prefix)
    }
}

/// The object is not there, though its bucket is.
fn is_missing(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. }) && !error.to_string().contains("NoSuchBucket")
}
