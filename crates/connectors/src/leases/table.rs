//! The contract of a table of leases: rows that change only if nobody else has changed them.

use millstream_core::BoxFuture;

use super::lease::Lease;

/// A lease table. Of several that write a row at the same time one succeeds.
pub(crate) trait LeaseTable: Send + Sync {
    /// Makes the table, if it is not there.
    fn ensure(&self) -> BoxFuture<'_, Result<(), TableError>>;

    /// All leases of the stream, as they are now.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Lease>, TableError>>;

    /// Writes a lease, unless there is one of its key.
    fn create<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<(), TableError>>;

    /// Writes a lease if the table has it with the counter of `before`. Answers whether the table has it now.
    fn replace<'a>(&'a self, before: &'a Lease, after: &'a Lease) -> BoxFuture<'a, Result<bool, TableError>>;

    /// Removes a lease if the table has it with this counter; otherwise nothing happens.
    fn delete<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<(), TableError>>;
}

/// Why a table did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TableError {
    /// May work later. What was to be written may be written.
    #[error("{0}")]
    Retry(String),
    #[error("{0}")]
    Permanent(String),
}
