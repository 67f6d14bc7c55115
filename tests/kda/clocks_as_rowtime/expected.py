from oracle import MINUTE, Row, millis, rows, timestamp, tumbling


def expected(records):
    forward, newest = [], 0
    for row in rows(records):
        time = millis(row["TS"])
        if time < newest:
            # The pump that is named is the one that reads BY_EVENT into an output: docs/kda.md, "Constructs".
            yield "error_stream", {"ERROR_LEVEL": "ERROR"}
        else:
            forward.append(Row(time, row))
            newest = time
    for start, _, members in tumbling(forward, MINUTE):
        yield "PER_MINUTE", {"since": timestamp(start), "v": sum(row["V"] for row in members)}
