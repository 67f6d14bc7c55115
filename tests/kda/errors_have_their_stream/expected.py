from oracle import divide, rows, timestamp


def expected(records):
    def error(pump, row):
        return "error_stream", {"PUMP_NAME": pump, "DATA_ROWTIME": timestamp(row.rowtime)}

    for row in rows(records):
        if row["A"] == 0:
            yield error("DIVIDE", row)
        else:
            yield "DIVIDED", {"Q": None if row["A"] is None else divide(row["B"], row["A"])}
        if row["A"] is None or row["T"] is not None and len(row["T"]) > 4:
            yield error("FILL", row)
        else:
            yield "STRICT", {"A": row["A"], "T": row["T"]}
