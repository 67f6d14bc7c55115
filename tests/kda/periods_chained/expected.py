from oracle import millis, out, rows, timestamp


def expected(records):
    for row in rows(records):
        s1, e1, s2, e2 = (millis(row[name]) for name in ("S1", "E1", "S2", "E2"))
        seven, eight, six = (millis(f"2026-01-01 {time}") for time in ("07:00:00", "08:00:00", "06:00:00"))
        if not (s1 < eight and seven < e1):
            yield out(E1=timestamp(e1), IN_ROW=e1 <= s2 and e2 <= six)
