from oracle import millis, out, rows


def expected(records):
    names = ("C", "O", "E", "P", "S", "IP", "ISU", "SC", "SP", "SS", "CM")
    for row in rows(records):
        if row["S1"] is None:
            yield out(**dict.fromkeys(names))
            continue
        s1, e1, s2, e2 = (millis(row[name]) for name in ("S1", "E1", "S2", "E2"))
        values = [
            s1 <= s2 and e2 <= e1, s1 < e2 and s2 < e1, (s1, e1) == (s2, e2), e1 <= s2, e2 <= s1, e1 == s2, s1 == e2,
            s1 < s2 and e2 < e1, e1 < s2, e2 < s1, s1 <= s2 < e1,
        ]
        yield out(**dict(zip(names, values)))
