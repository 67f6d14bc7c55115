from oracle import MINUTE, millis, out, rows, stagger, step, timestamp


def expected(records):
    def minute_and_station(row):
        return step(millis(row["EVENT_TIME"]), MINUTE), row["STATION"]

    for _, (minute, station), members in stagger(rows(records), MINUTE, minute_and_station):
        kw = [row["KW"] for row in members]
        yield out(EVENT_MINUTE=timestamp(minute), STATION=station, N=len(members), KW=sum(kw), PEAK=max(kw))
