//! Where checkpoints are kept: the contract of a store of objects that never change.

use crate::BoxFuture;

/// A folder of objects by path (`/` between names). An object is written once, whole, and never changed; what
/// [`CheckpointStore::create`] answered `Ok` for survives a power cut.
pub trait CheckpointStore: Send + Sync {
    /// Writes an object that is not there yet. Of several that try, at most one gets `Ok`; the others
    /// [`StoreError::Exists`]. After any other error the object may be there or not, but never in part.
    fn create<'a>(&'a self, path: &'a str, bytes: Vec<u8>) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Reads an object.
    fn read<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Vec<u8>, StoreError>>;

    /// The paths of all objects below a folder, in order.
    fn list<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>>;

    /// Removes an object; it is no error if there is none.
    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Where it is, for people.
    fn location(&self) -> String;
}

/// Why a store could not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("`{0}` exists already")]
    Exists(String),
    #[error("`{0}` does not exist")]
    NotFound(String),
    /// May work when tried again: the disk is full, the network is down.
    #[error("`{path}`: {reason}")]
    Failed { path: String, reason: String },
}
