from oracle import MINUTE, out, rows, tumbling


def expected(records):
    counts = [(start, -len(calls), api) for start, api, calls in tumbling(rows(records), MINUTE, lambda row: row["api"])]
    for _, calls, api in sorted(counts):
        yield out(API=api, CALLS=-calls)
