"""Reads a stream to its last record with async-kinesis, each record decoded.

Run by `consume.py` in an environment of its own: address, stream, number of records.
"""

import asyncio
import sys

from kinesis import Consumer, JsonProcessor

address, stream, records = sys.argv[1], sys.argv[2], int(sys.argv[3])


async def main():
    seen = 0
    # Five reads a second is the most that a shard of AWS gives.
    how = {"shard_fetch_rate": 5, "record_limit": 10_000, "max_queue_size": 100_000, "use_list_shards": True}
    async with Consumer(stream, endpoint_url=address, region_name="us-east-1", processor=JsonProcessor(), **how) as consumer:
        while seen < records:
            async for _ in consumer:
                seen += 1
                if seen >= records:
                    break
    print(seen)


asyncio.run(main())
