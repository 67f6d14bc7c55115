import datetime

from oracle import DAY, HOUR, millis, moment, out, rows, timestamp


def expected(records):
    for row in rows(records):
        s = millis(row["S"])
        time = moment(s)
        # A month later is the same day, or the last one.
        year, month = time.year + 1, time.month + 2
        last = (datetime.datetime(year, month + 1, 1) - datetime.timedelta(days=1)).day
        later = time.replace(year=year, month=month, day=min(time.day, last))
        yield out(
            A=timestamp(s + HOUR - 1), B=timestamp(s - 100 * HOUR), C=timestamp(s + 3 * DAY // 2),
            D=timestamp(millis(later.isoformat())), NOON=row["C"] > "12:00:00", U="été",
        )
