"""Generated bids and auctions as NDJSON: the same rows for the same arguments, kept for the next run if a folder is given.

A bid has about 217 bytes, or about 104 without url and extra. 10,000 bidders bid on 2,000 auctions, 10,000 bids a
second of event time, up to two seconds out of order; auctions are offered anew, one for each ten bids, as disordered.
"""

import datetime
import os
import random

BASE = datetime.datetime(2026, 1, 1)
DISORDER_MS = 2000
BIDS_A_BLOCK = 1000
COLUMNS = "auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, date_time TIMESTAMP(3), extra STRING"
AUCTION_COLUMNS = "auction BIGINT, seller BIGINT, date_time TIMESTAMP(3)"
CHANNELS = ["Google", "Facebook", "Baidu", "Apple"]


class Bids:
    """`folder` holds `bids`, dealt in blocks to `files` files that are equally far in event time, and `auctions`, one."""

    def __init__(self, folder, rows, narrow=False, files=1):
        name = f"{rows}-{'narrow' if narrow else 'wide'}-{files}"
        self.rows, self.folder = rows, os.path.join(folder, name)
        if not os.path.exists(self.folder):
            unfinished = f"{self.folder}.unfinished"
            os.makedirs(os.path.join(unfinished, "auctions"), exist_ok=True)
            os.makedirs(os.path.join(unfinished, "bids"), exist_ok=True)
            write(unfinished, rows, narrow, files)
            os.rename(unfinished, self.folder)
        self.bytes = sum(entry.stat().st_size for entry in os.scandir(self.path("bids")))

    def path(self, table):
        return os.path.join(self.folder, table)


def write(folder, rows, narrow, files):
    rng = random.Random(1).random
    times = [
        (BASE + datetime.timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")
        for ms in range(-DISORDER_MS, rows // 10 + 1)
    ]
    outs = [open(os.path.join(folder, "bids", f"{n}.ndjson"), "w") for n in range(files)]
    with open(os.path.join(folder, "auctions", "0.ndjson"), "w") as auctions:
        for number, start in enumerate(range(0, rows, BIDS_A_BLOCK)):
            block = range(start, min(start + BIDS_A_BLOCK, rows))
            outs[number % files].writelines(narrow_bids(block, rng, times) if narrow else wide_bids(block, rng, times))
            auctions.writelines(offers(block[::10], rng, times))
    for out in outs:
        out.close()


def offers(block, rng, times):
    return [
        f'{{"auction":{1000 + int(rng() * 2000)},"seller":{1000 + int(rng() * 1000)},'
        f'"date_time":"{times[n // 10 + int(rng() * DISORDER_MS)]}"}}\n'
        for n in block
    ]


def wide_bids(block, rng, times):
    return [
        f'{{"auction":{1000 + int(rng() * 2000)},"bidder":{1000 + int(rng() * 10_000)},"price":{int(rng() * 10_000_000)},'
        f'"channel":"{CHANNELS[n & 3]}","url":"https://www.nexmark.com/item.htm?query=1&channel_id={int(rng() * (1 << 30))}",'
        f'"date_time":"{times[n // 10 + int(rng() * DISORDER_MS)]}","extra":"{int(rng() * (1 << 40)):012x}xxxxxxxxxxxxxxxxxxxx"}}\n'
        for n in block
    ]


def narrow_bids(block, rng, times):
    return [
        f'{{"auction":{1000 + int(rng() * 2000)},"bidder":{1000 + int(rng() * 10_000)},"price":{int(rng() * 10_000_000)},'
        f'"channel":"{CHANNELS[n & 3]}","date_time":"{times[n // 10 + int(rng() * DISORDER_MS)]}"}}\n'
        for n in block
    ]
