from oracle import timestamp


def expected(records):
    yield "DAYS", {"D": "2026-02-03T00:00:00.000"}
    yield "error_stream", {"PUMP_NAME": "DAY_PUMP", "DATA_ROWTIME": timestamp(records[2].time)}
    yield "DAYS", {"D": "1999-12-31T00:00:00.000"}
    yield "DAYS", {"D": None}
    # The day is the first.
    yield "TIMES", {"T": "2026-02-01T00:00:00.000"}
    yield "TIMES", {"T": "2026-02-01T00:00:00.000"}
    yield "TIMES", {"T": "1970-01-01T12:30:00.000"}
