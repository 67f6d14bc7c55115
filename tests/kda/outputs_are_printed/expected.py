from oracle import rows


def expected(records):
    for row in rows(records):
        value = row["V"]
        yield ("ODDS", {"V": value}) if value % 2 else ("evens", {"v": value})
        if value > 3:
            yield "Big", {"v": value}
