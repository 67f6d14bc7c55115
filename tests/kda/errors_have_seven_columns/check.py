"""What a row of error_stream has, whatever went wrong."""

COLUMNS = {"ERROR_TIME", "ERROR_LEVEL", "ERROR_NAME", "MESSAGE", "DATA_ROWTIME", "DATA_ROW", "PUMP_NAME"}


def check(records, rows):
    errors = [row for table, row in rows if table == "error_stream"]
    assert all(set(row) == COLUMNS for row in errors)
    assert all(row["MESSAGE"] and row["ERROR_NAME"] and row["ERROR_LEVEL"] and row["ERROR_TIME"] for row in errors)
    # The bytes of the row, in hexadecimal digits.
    assert all(bytes.fromhex(row["DATA_ROW"]) for row in errors)
    assert sorted(row["PUMP_NAME"] for row in errors if row["PUMP_NAME"]) == ["P"]
