//! What connectors need of the world, passed in once by the binary.

use std::io::Write;
use std::sync::{Arc, Mutex};

use millstream_core::Clock;
use millstream_local_kinesis::Store;

use crate::Replay;

/// Where the sink `print` writes: standard output, or a buffer in tests.
pub type Printer = Arc<Mutex<dyn Write + Send>>;

/// Everything a connector may use. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The time, and the only way to wait for it.
    pub clock: Arc<dyn Clock>,
    /// The embedded stream; without one, `stream` tables are refused.
    pub store: Option<Store>,
    /// How AWS is reached.
    pub aws: AwsSettings,
    /// Stands in for every stream source.
    pub replay: Option<Arc<Replay>>,
    /// Where `print` writes.
    pub printer: Printer,
    /// Makes random choices (partition keys, jitter, names of files) repeatable; give another one each start.
    pub seed: u64,
}

/// What is known of AWS before any table says more: from the configuration file and the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsSettings {
    /// From the configuration, `AWS_REGION` or `AWS_DEFAULT_REGION`.
    pub region: Option<String>,
    /// From the configuration or `AWS_ENDPOINT_URL`: an emulator's address.
    pub endpoint_url: Option<String>,
    /// Instead of the SDK's default chain of credentials: for emulators, and for services that bring their own.
    pub access_key: Option<AccessKey>,
}

/// A pair that requests are signed with. The secret does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    pub id: String,
    pub secret: String,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl AwsSettings {
    /// Whether `kinesis` means AWS (or an emulator) for a table that does not say: otherwise it means the embedded
    /// stream.
    pub fn is_configured(&self) -> bool {
        self.region.is_some() || self.endpoint_url.is_some()
    }
}

impl Context {
    /// A context with nothing but a clock: no embedded stream, no AWS, no replay, standard output, seed 0.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let printer = Arc::new(Mutex::new(std::io::stdout()));
        Self { clock, store: None, aws: AwsSettings::default(), replay: None, printer, seed: 0 }
    }
}
