from oracle import out, timestamp


def expected(records):
    yield out(A=100)
    for record in records[1:]:
        yield "error_stream", {"DATA_ROWTIME": timestamp(record.time)}
