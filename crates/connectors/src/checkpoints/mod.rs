//! Stores of checkpoints: a local folder, or a prefix in a bucket of S3.
//!
//! A path is names with `/` between them. Names that begin with `.` are refused, for both: in a folder they are what
//! the store has for itself.

mod bucket;
mod folder;

use std::path::Path;
use std::sync::Arc;

use millstream_core::{CheckpointStore, OptionError, Options, StoreError};
use object_store::path::Path as ObjectPath;

use crate::AwsSettings;
use crate::place::Place;
use crate::s3::S3Access;
use bucket::Bucket;
use folder::Folder;

/// What errors about the place call it.
const KEY: &str = "checkpoints";

/// Opens the store at `location`, a local folder or `s3://bucket/prefix`. A folder is made if need be and taken for
/// this process, for as long as the store is held; a bucket is not reached before the first call.
pub fn checkpoint_store(location: &str, aws: &AwsSettings) -> Result<Arc<dyn CheckpointStore>, OptionError> {
    open(location, aws, &|path| Folder::open(path))
}

/// The same for processes that share a stream: a folder is for all that name it, such as one of a network. `writer` tells
/// this process from the others.
pub fn shared_checkpoint_store(
    location: &str,
    writer: &str,
    aws: &AwsSettings,
) -> Result<Arc<dyn CheckpointStore>, OptionError> {
    open(location, aws, &|path| Folder::share(path, writer))
}

fn open(
    location: &str,
    aws: &AwsSettings,
    folder: &dyn Fn(&Path) -> Result<Folder, OptionError>,
) -> Result<Arc<dyn CheckpointStore>, OptionError> {
    let wrong = |_| {
        let message = format!("`{location}` given, expected a local folder or s3://bucket/prefix");
        OptionError::new(KEY, message)
    };
    match Place::parse(location).map_err(wrong)? {
        Place::Local(path) if path.as_os_str().is_empty() => Err(wrong("")),
        Place::Local(path) => Ok(Arc::new(folder(&path)?)),
        Place::S3 { bucket, key } => {
            let prefix = ObjectPath::parse(&key);
            let prefix = prefix.map_err(|error| OptionError::new(KEY, format!("`{location}` given: {error}")))?;
            let access = S3Access::read(&Options::default().reader(), aws)?;
            Ok(Arc::new(Bucket::new(bucket, prefix, access)))
        }
    }
}

/// A path of the contract, checked. The empty one is the store itself.
fn parse(path: &str) -> Result<ObjectPath, StoreError> {
    let parsed = ObjectPath::parse(path).map_err(|error| failed(path, error))?;
    match parsed.parts().find(|part| part.as_ref().starts_with('.')) {
        Some(part) => Err(failed(path, format!("`{}` begins with `.`: give it another name", part.as_ref()))),
        None => Ok(parsed),
    }
}

/// The path of an object, which has a name.
fn parse_object(path: &str) -> Result<ObjectPath, StoreError> {
    let parsed = parse(path)?;
    if parsed.is_root() {
        return Err(failed(path, "an object needs a name"));
    }
    Ok(parsed)
}

fn failed(path: &str, reason: impl std::fmt::Display) -> StoreError {
    StoreError::Failed { path: path.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests;
