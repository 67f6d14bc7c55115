import re

from oracle import out, timestamp


def expected(records):
    for record in records:
        for number in re.findall(r"\d+", record.data):
            yield out(N=int(number), SEEN=timestamp(record.time))
