//! Splitting and merging shards.

use aws_sdk_kinesis::types::{ScalingType, Shard};
use millstream_local_kinesis::HashKey;

use super::{Streams, StreamsError};
use crate::aws::shards::list_shards;

/// What is to become of a stream's shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reshard {
    /// So many shards of the same width.
    Count(i32),
    /// One shard becomes two, in its middle or where the second is to begin.
    Split { shard: String, at: Option<HashKey> },
    /// Two that lie side by side become one.
    Merge { first: String, second: String },
}

impl Streams {
    /// Begins it; the stream is `UPDATING` until it is done, and is read and written all the while.
    pub async fn reshard(&self, stream: &str, how: &Reshard) -> Result<(), StreamsError> {
        let what = format!("stream `{stream}`");
        match how {
            Reshard::Count(count) => {
                let request = self.client.update_shard_count().stream_name(stream).target_shard_count(*count);
                let sent = request.scaling_type(ScalingType::UniformScaling).send().await;
                sent.map_err(StreamsError::of(what))?;
            }
            Reshard::Split { shard, at } => {
                let at = match at {
                    Some(at) => *at,
                    None => middle(&self.shard(stream, shard).await?)?,
                };
                let request = self.client.split_shard().stream_name(stream).shard_to_split(shard);
                let sent = request.new_starting_hash_key(at.to_string()).send().await;
                sent.map_err(StreamsError::of(format!("{what}, shard `{shard}`")))?;
            }
            Reshard::Merge { first, second } => {
                let request = self.client.merge_shards().stream_name(stream).shard_to_merge(first);
                let sent = request.adjacent_shard_to_merge(second).send().await;
                sent.map_err(StreamsError::of(format!("{what}, shards `{first}` and `{second}`")))?;
            }
        }
        Ok(())
    }

    async fn shard(&self, stream: &str, shard: &str) -> Result<Shard, StreamsError> {
        let listed = list_shards(&self.client, Some(stream.to_owned()), None, None).await;
        let listed = listed.map_err(StreamsError::of(format!("stream `{stream}`")))?;
        let found = listed.into_iter().find(|listed| listed.shard_id == shard);
        found.ok_or_else(|| StreamsError::Wrong(format!("stream `{stream}` has no shard `{shard}`")))
    }
}

/// The first hash key of the upper half of a shard.
fn middle(shard: &Shard) -> Result<HashKey, StreamsError> {
    let key = |text: &str| text.parse::<HashKey>().map_err(|error| StreamsError::Wrong(error.to_string()));
    let Some(range) = &shard.hash_key_range else {
        return Err(StreamsError::Wrong(format!("shard `{}` has no range of hash keys", shard.shard_id)));
    };
    let (HashKey(start), HashKey(end)) = (key(&range.starting_hash_key)?, key(&range.ending_hash_key)?);
    if start >= end {
        return Err(StreamsError::Wrong(format!("shard `{}` has one hash key: it cannot be split", shard.shard_id)));
    }
    Ok(HashKey(start + (end - start) / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_kinesis::types::HashKeyRange;

    fn shard(start: u128, end: u128) -> Shard {
        let range = HashKeyRange::builder().starting_hash_key(start.to_string()).ending_hash_key(end.to_string());
        Shard::builder().shard_id("s").hash_key_range(range.build().unwrap()).build().unwrap()
    }

    #[test]
    fn a_shard_is_split_in_its_middle_if_it_has_one() {
        assert_eq!(middle(&shard(0, u128::MAX)).unwrap(), HashKey(1 << 127));
        assert_eq!(middle(&shard(10, 11)).unwrap(), HashKey(11));
        assert_eq!(middle(&shard(10, 19)).unwrap(), HashKey(15));
        assert_eq!(middle(&shard(7, 7)).unwrap_err().to_string(), "shard `s` has one hash key: it cannot be split");
    }
}
