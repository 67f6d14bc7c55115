from oracle import out

ROWS = [
    ("2026-05-24T20:01:02.000", "2026-02-03", "02/03/26", "07:45 AM", "Tue, 31 December 2024", "130506.007", "2025"),
    ("2026-01-01T07:30:00.000", "2024-02-29", "02/29/24", "11:59 PM", "Mon, 15 June 2026", "000000.000", "2026"),
    (None, None, None, None, None, None, None),
]


def expected(records):
    for values in ROWS:
        yield out(**dict(zip(("UTC", "DAY_OF", "US", "CLOCK", "NAMES", "MILLIS", "WEEK_YEAR"), values)))
