from oracle import MINUTE, out, rows, tumbling


def expected(records):
    for _, api, calls in tumbling(rows(records), MINUTE, lambda row: row["api"]):
        if len(calls) >= 6:
            failed = sum(row["status"] >= 500 for row in calls)
            yield out(api=api, CALLS=len(calls), SHARE=failed / len(calls), WORST=max(row["status"] for row in calls))
