from oracle import out, timestamp


def expected(records):
    for record in records:
        yield out(
            key=record.key, shard=record.shard, arrived=timestamp(record.time), same=True, numbered=True,
            v=record.data["V"],
        )
