from oracle import millis, out, rows, text, timestamp


def expected(records):
    for row in rows(records):
        if row["TXT"] is None:
            yield out(TS=None, AS_TEXT=None, N=None, DAY_OF=None, DAY_TEXT=None, HOURS=None)
        else:
            ts = text(millis(row["TS"]))
            yield out(
                TS=timestamp(millis(row["TXT"])), AS_TEXT=ts, N=int(row["N"]), DAY_OF=ts[:10], DAY_TEXT=ts[:10],
                HOURS=int(ts[11:13]),
            )
        if row["LONG_TEXT"] is None or len(row["LONG_TEXT"]) <= 5:
            yield "SHORT", {"V": row["LONG_TEXT"]}
        else:
            yield "error_stream", {"PUMP_NAME": "TOO_SHORT", "DATA_ROWTIME": timestamp(row.rowtime)}
