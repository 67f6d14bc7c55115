//! `StartStreamEncryption` and `StopStreamEncryption`. The key is kept and told; records on disk are not encrypted.

use serde::Deserialize;

use super::arguments::{StreamArguments, required};
use super::error::ApiError;
use super::{Api, Nothing};

/// Characters of a key's id: the API's model.
const KEY_ID_CHARACTERS_MAX: usize = 2048;

/// Of one stream: the AWS quota.
const CHANGES_PER_DAY: usize = 25;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Encryption {
    #[serde(flatten)]
    stream: StreamArguments,
    encryption_type: Option<String>,
    key_id: Option<String>,
}

pub(super) async fn start(api: &Api, request: Encryption) -> Result<Nothing, ApiError> {
    let (stream, key) = request.read(api)?;
    api.take_per_day("StartStreamEncryption", &stream, CHANGES_PER_DAY)?;
    api.store.set_encryption(&stream, Some(key)).await?;
    api.changed(&stream);
    Ok(Nothing {})
}

/// AWS asks for the key that is in use, and takes any.
pub(super) async fn stop(api: &Api, request: Encryption) -> Result<Nothing, ApiError> {
    let (stream, _) = request.read(api)?;
    api.take_per_day("StopStreamEncryption", &stream, CHANGES_PER_DAY)?;
    api.store.set_encryption(&stream, None).await?;
    api.changed(&stream);
    Ok(Nothing {})
}

impl Encryption {
    fn read(self, api: &Api) -> Result<(String, String), ApiError> {
        match required(self.encryption_type.as_deref(), "encryptionType")? {
            "KMS" => {}
            "NONE" => return Err(ApiError::argument("the EncryptionType must be KMS")),
            other => return Err(ApiError::not_one_of(other, "encryptionType", "NONE, KMS")),
        }
        let key = required(self.key_id, "keyId")?;
        if !(1..=KEY_ID_CHARACTERS_MAX).contains(&key.chars().count()) {
            let rule = format!("Member must have 1 to {KEY_ID_CHARACTERS_MAX} characters");
            return Err(ApiError::constraint(&key, "keyId", &rule));
        }
        Ok((self.stream.name_to_change(api)?, key))
    }
}
