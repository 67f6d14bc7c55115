//! How long records are kept.

use crate::limits::{RETENTION_HOURS_MAX, RETENTION_HOURS_MIN};
use crate::{ControlError, Store};

impl Store {
    /// Keeps records longer. Those that have expired already stay hidden or deleted only as far as deletion has come.
    pub async fn increase_retention(&self, stream: &str, hours: u32) -> Result<(), ControlError> {
        self.set_retention(stream, hours, move |old| hours >= old, "longer").await
    }

    /// Keeps records shorter: older ones can no longer be read, and are deleted soon.
    pub async fn decrease_retention(&self, stream: &str, hours: u32) -> Result<(), ControlError> {
        self.set_retention(stream, hours, move |old| hours <= old, "shorter").await
    }

    async fn set_retention(
        &self,
        stream: &str,
        hours: u32,
        fits: impl Fn(u32) -> bool + Send + 'static,
        wanted: &'static str,
    ) -> Result<(), ControlError> {
        self.change_stream(stream, move |info| {
            let (name, old) = (&info.name, info.retention_hours);
            if !(RETENTION_HOURS_MIN..=RETENTION_HOURS_MAX).contains(&hours) {
                let range = format!("{RETENTION_HOURS_MIN} to {RETENTION_HOURS_MAX}");
                return Err(ControlError::Invalid(format!("records are kept {range} hours, not {hours}")));
            }
            if !fits(old) {
                let reason = format!("stream {name} keeps records {old} hours, and {hours} hours are not {wanted}");
                return Err(ControlError::Invalid(reason));
            }
            info.retention_hours = hours;
            Ok(())
        })
        .await
    }
}
