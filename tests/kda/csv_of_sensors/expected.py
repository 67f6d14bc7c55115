import csv

from oracle import millis, out, timestamp


def expected(records):
    for record in records:
        for who, n, at, x in csv.reader(record.data.splitlines()):
            if n == "x":
                yield "error_stream", {"DATA_ROWTIME": timestamp(record.time)}
            else:
                number, value = int(n) if n else None, float(x) if x else None
                yield out(who=who, n=number, at=timestamp(millis(at)), x=value)
