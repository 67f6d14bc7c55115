//! `PutRecords` of which some records are refused: the others are put, and the two replies become one.

use serde_json::{Value, json};

use crate::fault::Dice;

/// A request without the records that are refused, and which those are.
pub(crate) fn without_some(request: &[u8], dice: &mut Dice) -> Option<(Vec<u8>, Vec<bool>)> {
    let mut request: Value = serde_json::from_slice(request).ok()?;
    let records = request.get_mut("Records")?.as_array_mut()?;
    let mut refused: Vec<bool> = records.iter().map(|_| dice.coin()).collect();
    // One at least is refused, and one at least is put: a request without records is another error.
    let last = refused.len().checked_sub(1).filter(|last| *last > 0)?;
    (refused[0], refused[last]) = if dice.coin() { (true, false) } else { (false, true) };
    let mut keep = refused.iter().map(|refused| !refused);
    records.retain(|_| keep.next().unwrap_or(true));
    Some((serde_json::to_vec(&request).ok()?, refused))
}

/// The reply to the whole request.
pub(crate) fn with_refused(reply: &[u8], refused: &[bool]) -> Option<Vec<u8>> {
    let reply: Value = serde_json::from_slice(reply).ok()?;
    let mut put = reply.get("Records")?.as_array()?.iter();
    let error = json!({
        "ErrorCode": "ProvisionedThroughputExceededException",
        "ErrorMessage": "Rate exceeded for shard shardId-000000000000 in stream s under account 000000000000.",
    });
    let records: Option<Vec<_>> =
        refused.iter().map(|refused| if *refused { Some(error.clone()) } else { put.next().cloned() }).collect();
    let records = records?;
    let failed = records.iter().filter(|record| record.get("ErrorCode").is_some()).count();
    serde_json::to_vec(&json!({ "FailedRecordCount": failed, "Records": records })).ok()
}
