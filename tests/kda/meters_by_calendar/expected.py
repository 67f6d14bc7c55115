import datetime

from oracle import groups, millis, moment, out, rows, timestamp

BEGINNINGS = {
    "second": lambda time: time.replace(microsecond=0),
    "day": lambda time: datetime.datetime(time.year, time.month, time.day),
    "month": lambda time: datetime.datetime(time.year, time.month, 1),
    "year": lambda time: datetime.datetime(time.year, 1, 1),
}


def expected(records):
    for unit, beginning in BEGINNINGS.items():
        for since, members in groups(rows(records), lambda row: beginning(moment(row.rowtime))):
            kwh = sum(row["kwh"] for row in members)
            yield out(unit=unit, since=timestamp(millis(since.isoformat())), kwh=float(kwh))
