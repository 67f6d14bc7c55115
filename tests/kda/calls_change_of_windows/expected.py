from oracle import SECOND, out, rows, tumbling


def expected(records):
    before = {}
    for _, api, calls in tumbling(rows(records), 30 * SECOND, lambda row: row["api"]):
        yield out(api=api, calls=len(calls), more=len(calls) - before.get(api, 0))
        before[api] = len(calls)
