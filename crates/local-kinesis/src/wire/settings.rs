//! What an owner of the API may choose.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Resolves after a while.
pub type Sleep = Arc<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// How long AWS lets a subscription to a shard last.
const SUBSCRIPTION_MS_MAX: u64 = 5 * 60 * 1000;

/// A key that requests may be signed with. It has no `Debug`: secrets are not to be printed.
#[derive(Clone)]
pub struct AccessKey {
    /// The access key id.
    pub id: String,
    /// The secret access key.
    pub secret: String,
    /// Whether its holder may use the API.
    pub may_use_streams: bool,
}

/// An extension of requests whose caller was found out and let in before: their signatures are not looked at.
#[derive(Clone, Copy, Debug)]
pub struct Admitted;

/// What an owner of the API may choose.
#[derive(Clone)]
pub struct ApiSettings {
    /// Requests must be signed with one of these; where there is none, signatures are not looked at.
    pub keys: Vec<AccessKey>,
    /// Refuse what AWS would refuse for coming too fast, and have streams be CREATING and UPDATING for a while.
    pub enforce_limits: bool,
    /// How long a subscription to a shard lasts before its reader must renew it.
    pub subscription_ms_max: u64,
    /// How time passes.
    pub sleep: Sleep,
}

impl Default for ApiSettings {
    /// As AWS, but without its limits.
    #[expect(clippy::disallowed_methods, reason = "what time passes by, unless something else is given")]
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            enforce_limits: false,
            subscription_ms_max: SUBSCRIPTION_MS_MAX,
            sleep: Arc::new(|time| Box::pin(tokio::time::sleep(time))),
        }
    }
}
