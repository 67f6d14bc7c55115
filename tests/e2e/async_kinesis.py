"""Puts records with async-kinesis' producer and reads them with its consumer.

Arguments: address, stream, records. Prints what it read as JSON. Runs with the Python of the peers `async`.
"""

import asyncio
import json
import sys

from aiobotocore.session import AioSession
from kinesis import Consumer, Producer


async def main(endpoint, stream, count):
    session = AioSession()
    session.set_credentials("id", "secret")
    settings = {"session": session, "endpoint_url": endpoint, "region_name": "us-east-1"}
    async with Producer(stream, create_stream=True, create_stream_shards=2, buffer_time=0.05, **settings) as producer:
        for n in range(count):
            await producer.put({"n": n}, partition_key=f"k{n % 10}")
        await producer.flush()
    read = []
    async with Consumer(stream, sleep_time_no_records=0.1, idle_timeout=0.5, **settings) as consumer:
        while len(read) < count:
            async for record in consumer:
                read.append(record["n"])
    print(json.dumps(sorted(read)))


asyncio.run(asyncio.wait_for(main(sys.argv[1], sys.argv[2], int(sys.argv[3])), 50))
