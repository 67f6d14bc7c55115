from oracle import out, timestamp

# The records one by one, as the table of the developer guide has it.
ROWS = [
    (None, None, None, None, None, None),
    (1, 0.0, True, "true", None, None),
    (12, 12.5, True, "12.50", None, None),
    (34, -1000.0, True, "a long text", "2026-05-06T07:08:09.500", "2026-05-06"),
    (0, 0.0, False, "0", "2026-05-06T00:00:00.000", "2026-05-06"),
    (None, None, False, '{"a":[1,2]}', None, None),
    (None, None, False, '[1,"b"]', None, None),
]


def expected(records):
    for record, values in zip(records, ROWS):
        yield out(**dict(zip(("N", "D", "B", "V", "T", "day"), values)))
    # Everything else is an error.
    for record in records[len(ROWS) :]:
        yield "error_stream", {"DATA_ROWTIME": timestamp(record.time)}
