//! What is set of the whole account: on AWS a commitment to pay for a minimum, which opens features to its streams.

use serde::{Deserialize, Serialize};

use crate::error::StorageError;
use crate::layout::account_key;
use crate::writer::Writer;
use crate::{ControlError, Store};

/// A commitment cannot be ended sooner than this: AWS's rule.
const COMMITMENT_MS_MIN: i64 = 24 * 3_600_000;

/// The settings as of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSettings {
    /// When the commitment to a minimum of throughput began, ms since 1970.
    pub commitment_started_ms: Option<i64>,
    /// When it ended, or is to end.
    pub commitment_ends_ms: Option<i64>,
}

impl AccountSettings {
    /// Whether the commitment holds.
    pub fn has_commitment(&self, now_ms: i64) -> bool {
        self.commitment_started_ms.is_some() && self.commitment_ends_ms.is_none_or(|ends_ms| ends_ms > now_ms)
    }

    /// The earliest end of the commitment.
    pub fn commitment_may_end_ms(&self) -> Option<i64> {
        self.commitment_started_ms.map(|started_ms| started_ms + COMMITMENT_MS_MIN)
    }
}

impl Store {
    /// What is set now.
    pub fn account(&self) -> AccountSettings {
        *self.account_settings().borrow()
    }

    /// Begins the commitment, or ends it as soon as may be.
    pub async fn set_commitment(&self, is_wanted: bool) -> Result<AccountSettings, ControlError> {
        self.on_writer(move |writer| writer.set_commitment(is_wanted)).await
    }
}

impl Writer {
    fn set_commitment(&mut self, is_wanted: bool) -> Result<AccountSettings, ControlError> {
        let (now_ms, mut settings) = (self.now_ms(), *self.account.borrow());
        match (is_wanted, settings.has_commitment(now_ms)) {
            (true, true) => settings.commitment_ends_ms = None,
            (true, false) => {
                settings = AccountSettings { commitment_started_ms: Some(now_ms), commitment_ends_ms: None };
            }
            (false, true) => {
                settings.commitment_ends_ms = settings.commitment_may_end_ms().map(|earliest| earliest.max(now_ms));
            }
            (false, false) => {}
        }
        let mut batch = self.durable_batch();
        batch.insert(&self.descriptions, account_key::KEY, account_key::encode_value(&settings));
        batch.commit().map_err(StorageError::from)?;
        self.account.send_replace(settings);
        Ok(settings)
    }
}
