from oracle import MINUTE, Row, millis, rows, timestamp, tumbling


def expected(records):
    forward, newest = [], 0
    for row in rows(records):
        time = millis(row["TS"])
        if time < newest:
            yield "error_stream", {"PUMP_NAME": "RETIME"}
        else:
            forward.append(Row(time, row))
            newest = time
    for start, _, members in tumbling(forward, MINUTE):
        yield "PER_MINUTE", {"since": timestamp(start), "v": sum(row["V"] for row in members)}
