from oracle import MINUTE, groups, out, rows, timestamp


def expected(records):
    def minute_and_gate(row):
        return -(-row.rowtime // MINUTE) * MINUTE, row["gate"]

    for (end, gate), members in groups(rows(records), minute_and_gate):
        yield out(MINUTE_END=timestamp(end), GATE=gate, CARS=sum(row["cars"] for row in members))
