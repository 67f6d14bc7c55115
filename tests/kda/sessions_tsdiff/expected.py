from oracle import SECOND, out, rows, stagger


def expected(records):
    for _, user, members in stagger(rows(records), 30 * SECOND, lambda row: row["userId"]):
        first, last = members[0].rowtime, members[-1].rowtime
        session = f"{user}_{first}"
        yield out(SESSION_ID=session, USER_ID=user, EVENTS=len(members), BACKWARDS=first - last, DURATION=last - first)
