use super::taken_apart::UserRecord;
use super::*;

/// Three records of two keys, as `aws_kinesis_agg` 1.2.3 aggregates them.
const BY_AWS: &str = include_str!("by_aws.hex");

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.trim().as_bytes();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn records(data: &[u8]) -> Option<Vec<(String, String)>> {
    let text = |record: UserRecord| (record.partition_key, String::from_utf8(record.data.to_vec()).unwrap());
    Some(take_apart(data)?.into_iter().map(text).collect())
}

#[test]
fn an_aggregate_of_the_aws_library_is_taken_apart() {
    let aggregate = bytes_of(BY_AWS);
    let pair = |key: &str, data: &str| (key.to_owned(), data.to_owned());
    let expected = [pair("red", "{\"n\":1}"), pair("green", "{\"n\":2}"), pair("red", "{\"n\":3}")];
    assert_eq!(records(&aggregate).unwrap(), expected);
    let hashes: Vec<_> = take_apart(&aggregate).unwrap().iter().map(UserRecord::hash_key).collect();
    assert_eq!(hashes[1].0, 77, "an explicit hash key replaces the partition key's");
    assert_eq!(hashes[0], millstream_local_kinesis::HashKey::of_partition_key("red"));
}

#[test]
fn whatever_is_damaged_is_a_plain_record() {
    let aggregate = bytes_of(BY_AWS);
    for at in 0..aggregate.len() {
        let mut damaged = aggregate.clone();
        damaged[at] ^= 1;
        assert_eq!(take_apart(&damaged), None, "byte {at}");
        assert_eq!(take_apart(&aggregate[..at]), None, "cut at {at}");
    }
    for plain in [&b""[..], b"{}", &MAGIC, &[MAGIC.as_slice(), &[0; DIGEST_BYTES]].concat()] {
        assert_eq!(take_apart(plain), None);
    }
}

/// A message with the right digest.
fn sealed(aggregate: &AggregatedRecord) -> Vec<u8> {
    use md5::{Digest, Md5};
    let message = aggregate.encode_to_vec();
    [MAGIC.as_slice(), &message, &Md5::digest(&message)].concat()
}

#[test]
fn a_record_whose_key_is_not_in_the_table_makes_the_whole_a_plain_record() {
    let record = |key, hash| Record {
        partition_key_index: key,
        explicit_hash_key_index: hash,
        data: Bytes::from_static(b"x"),
        tags: vec![],
    };
    let of = |records| AggregatedRecord {
        partition_key_table: vec!["k".into()],
        explicit_hash_key_table: vec!["5".into(), "no number".into()],
        records,
    };
    assert_eq!(take_apart(&sealed(&of(vec![record(0, Some(0))]))).unwrap().len(), 1);
    for broken in [record(1, None), record(u64::MAX, None), record(0, Some(1)), record(0, Some(2))] {
        assert_eq!(take_apart(&sealed(&of(vec![record(0, None), broken]))), None);
    }
}

#[test]
fn what_is_aggregated_comes_back_and_its_size_was_known() {
    let mut aggregator = Aggregator::default();
    assert_eq!(aggregator.take(), None);
    for n in 0..300 {
        let tags: &[_] = if n % 3 == 0 { &[("id", "7")] } else { &[] };
        aggregator.push(&format!("key-{}", n % 7), format!("{n}").repeat(n).into(), tags);
    }
    assert_eq!(aggregator.records(), 300);
    let bytes = aggregator.bytes();
    let aggregate = aggregator.take().unwrap();
    assert_eq!((aggregate.data.len(), aggregate.partition_key.as_str()), (bytes, "key-0"));
    let expected: Vec<_> = (0..300).map(|n| (format!("key-{}", n % 7), format!("{n}").repeat(n))).collect();
    assert_eq!(records(&aggregate.data).unwrap(), expected);
    assert!(aggregator.is_empty());
}
