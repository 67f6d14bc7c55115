from oracle import SECOND, deviation, out, rows, tumbling, variance


def expected(records):
    for _, cell, members in tumbling(rows(records), 30 * SECOND, lambda row: row["cell"]):
        volts, hot = [row["volt"] for row in members], [row["hot"] for row in members]
        yield out(
            cell=cell, SP=deviation(volts, sample=False), SS=deviation(volts, sample=True),
            VP=variance(volts, sample=False), VS=variance(volts, sample=True), SOME_HOT=any(hot), ALL_HOT=all(hot),
        )
